/**
 * How `partita inspect` reaches a running machine: each `partita run` listens on a unix socket named after its
 * process in a folder that only this user may enter, and answers every connection with one JSON document.
 */
import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SUFFIX = '.sock';
const ANSWER_TIMEOUT_MS = 10_000;

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

/** Serves `describe()` until `close()`. A machine runs without being inspectable where this cannot work. */
export function serveInspection(describe: () => unknown): { close(): void } {
  let path: string;
  let server: Server;
  try {
    path = join(runtimeFolder(), `${process.pid}${SUFFIX}`);
    rmSync(path, { force: true });
    server = createServer((socket) => {
      socket.on('error', () => {});
      socket.end(JSON.stringify(describe()));
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

/** The document of the machine that process `pid` runs. Rejects when there is none, or it does not answer. */
export function askMachine(pid: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect(join(runtimeFolder(), `${pid}${SUFFIX}`));
    let text = '';
    socket.setEncoding('utf8');
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy(new Error('it does not answer')));
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
