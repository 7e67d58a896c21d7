/**
 * How `partita inspect` reaches a running machine: each `partita run` listens on a unix socket named after its
 * process in a folder that only this user may enter. A connection sends one line, `inspect` or `snapshot` with its
 * parameters as JSON behind it. It is answered with one JSON document; a snapshot with lines of progress before it.
 */
import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SUFFIX = '.sock';
const ANSWER_TIMEOUT_MS = 10_000;
/** A disk may take its time. */
const SILENCE_TIMEOUT_MS = 600_000;
const SNAPSHOT = 'snapshot ';
const LONGEST_REQUEST = 1 << 16;

/** The folder of this user's sockets, made if missing. Throws when somebody else owns it. */
export function runtimeFolder(): string {
  const uid = process.getuid?.() ?? 0;
  const base = process.env.XDG_RUNTIME_DIR;
  const folder = base ? join(base, 'partita') : join(tmpdir(), `partita-${uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const status = lstatSync(folder);
  if (!status.isDirectory() || status.uid !== uid) throw new Error(`${folder} belongs to somebody else`);
  chmodSync(folder, 0o700);
  return folder;
}

export interface SnapshotOrder {
  /** An absolute path. */
  file: string;
  /** The machine runs on afterwards. */
  goOn: boolean;
}

/** Whoever waits for a snapshot. */
export interface SnapshotWaiter {
  progress(done: number, total: number): void;
  /** Why it failed, or undefined. */
  done(problem: string | undefined): void;
  /** Nobody waits any more. */
  readonly gone: boolean;
}

export type SnapshotService = (order: SnapshotOrder, waiter: SnapshotWaiter) => void;

/** Serves `describe()` until `close()`. A machine runs without being inspectable where this cannot work. */
export function serveInspection(describe: () => unknown, snapshot?: SnapshotService): { close(): void } {
  let path: string;
  let server: Server;
  try {
    path = join(runtimeFolder(), `${process.pid}${SUFFIX}`);
    rmSync(path, { force: true });
    server = createServer((socket) => {
      socket.on('error', () => {});
      let line = '';
      socket.setEncoding('utf8');
      socket.on('data', (part: string) => {
        if (line.includes('\n') || line.length > LONGEST_REQUEST) return;
        line += part;
        if (line.includes('\n')) answer(line.trimEnd(), describe, snapshot, socket);
      });
    });
    server.on('error', () => {});
    server.listen(path);
    server.unref();
  } catch {
    return { close() {} };
  }
  return {
    close() {
      server.close();
      rmSync(path, { force: true });
    },
  };
}

/** Processes of this user that run a machine; sockets that nobody answers on any more are removed. */
export async function runningMachines(): Promise<number[]> {
  const folder = runtimeFolder();
  const running: number[] = [];
  for (const file of readdirSync(folder)) {
    if (!file.endsWith(SUFFIX)) continue;
    const pid = Number(file.slice(0, -SUFFIX.length));
    if (isAlive(pid)) running.push(pid);
    else rmSync(join(folder, file), { force: true });
  }
  return running.sort((a, b) => a - b);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function answer(
  line: string,
  describe: () => unknown,
  snapshot: SnapshotService | undefined,
  socket: Socket,
): void {
  const reply = (value: unknown): void => void socket.end(JSON.stringify(value));
  if (line === 'inspect') {
    reply(describe());
    return;
  }
  const order = line.startsWith(SNAPSHOT) ? snapshotOrder(line.slice(SNAPSHOT.length)) : undefined;
  if (order === undefined || snapshot === undefined) {
    reply({ problem: 'the machine does not understand' });
    return;
  }
  snapshot(order, {
    progress: (done, total) => void socket.write(`${JSON.stringify({ done, total })}\n`),
    done: (problem) => reply({ problem }),
    get gone() {
      return socket.destroyed;
    },
  });
}

function snapshotOrder(text: string): SnapshotOrder | undefined {
  try {
    const { file, goOn } = JSON.parse(text) as Partial<SnapshotOrder>;
    return typeof file === 'string' ? { file, goOn: goOn === true } : undefined;
  } catch {
    return undefined;
  }
}

/** The document of the machine that process `pid` runs. Rejects when there is none, or it does not answer. */
export function askMachine(pid: number): Promise<unknown> {
  return ask(pid, 'inspect', ANSWER_TIMEOUT_MS);
}

/** Why there is no snapshot; undefined when there is. */
export async function askForSnapshot(
  pid: number,
  order: SnapshotOrder,
  progress: (done: number, total: number) => void,
): Promise<string | undefined> {
  const told = (line: string): void => {
    const { done, total } = JSON.parse(line) as { done: number; total: number };
    progress(done, total);
  };
  const answer = await ask(pid, `${SNAPSHOT}${JSON.stringify(order)}`, SILENCE_TIMEOUT_MS, told);
  return (answer as { problem?: string }).problem;
}

/** Sends `line`; `told` gets the lines before the answer. */
function ask(
  pid: number,
  line: string,
  timeoutMs: number,
  told: (line: string) => void = () => {},
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect(join(runtimeFolder(), `${pid}${SUFFIX}`), () => socket.write(`${line}\n`));
    let text = '';
    socket.setEncoding('utf8');
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error('it does not answer')));
    socket.on('data', (part: string) => {
      const lines = (text + part).split('\n');
      text = lines.pop() ?? '';
      for (const each of lines) told(each);
    });
    socket.on('error', reject);
    socket.on('end', () => {
      if (text === '') reject(new Error('the machine ended before it answered'));
      try {
        resolve(JSON.parse(text));
      } catch (error) {
        reject(error);
      }
    });
  });
}
