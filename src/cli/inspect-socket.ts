/**
 * How `partita inspect` reaches a running machine: each `partita run` listens on a unix socket named after its
 * process in a folder that only this user may enter. A connection sends one line, `inspect` or `save` with its
 * parameters as JSON behind it, and is answered with one JSON document. `partita save` comes this way too.
 */
import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SUFFIX = '.sock';
const ANSWER_TIMEOUT_MS = 10_000;
/** A large machine takes its time. */
const SAVE_TIMEOUT_MS = 600_000;
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

export interface SaveOrder {
  /** An absolute path. */
  file: string;
  /** The machine runs on afterwards. */
  goOn: boolean;
}

/** Saves the machine; `done` gets why that failed, or undefined. */
export type SaveService = (order: SaveOrder, done: (problem: string | undefined) => void) => void;

/** Serves `describe()` until `close()`. A machine runs without being inspectable where this cannot work. */
export function serveInspection(describe: () => unknown, save?: SaveService): { close(): void } {
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
        if (line.includes('\n'))
          answer(line.trimEnd(), describe, save, (value) => socket.end(JSON.stringify(value)));
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
  save: SaveService | undefined,
  reply: (value: unknown) => void,
): void {
  if (line === 'inspect') {
    reply(describe());
    return;
  }
  const order = line.startsWith('save ') ? saveOrder(line.slice('save '.length)) : undefined;
  if (order === undefined || save === undefined) reply({ problem: 'the machine does not understand' });
  else save(order, (problem) => reply({ problem }));
}

function saveOrder(text: string): SaveOrder | undefined {
  try {
    const { file, goOn } = JSON.parse(text) as Partial<SaveOrder>;
    return typeof file === 'string' ? { file, goOn: goOn === true } : undefined;
  } catch {
    return undefined;
  }
}

/** The document of the machine that process `pid` runs. Rejects when there is none, or it does not answer. */
export function askMachine(pid: number): Promise<unknown> {
  return ask(pid, 'inspect', ANSWER_TIMEOUT_MS);
}

/** Why the machine was not saved; undefined when it was. */
export async function askToSave(pid: number, order: SaveOrder): Promise<string | undefined> {
  const { problem } = (await ask(pid, `save ${JSON.stringify(order)}`, SAVE_TIMEOUT_MS)) as {
    problem?: string;
  };
  return problem;
}

function ask(pid: number, line: string, timeoutMs: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect(join(runtimeFolder(), `${pid}${SUFFIX}`), () => socket.write(`${line}\n`));
    let text = '';
    socket.setEncoding('utf8');
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error('it does not answer')));
    socket.on('data', (part: string) => {
      text += part;
    });
    socket.on('error', reject);
    socket.on('end', () => {
      try {
        resolve(JSON.parse(text));
      } catch (error) {
        reject(error);
      }
    });
  });
}
