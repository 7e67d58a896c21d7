/**
 * `--gdb PORT`: the remote stub's socket, on the loopback interface only. One debugger at a time; a second one is told
 * so and sent away. All work is done between slices of the machine (`ask`), a few packets at a time, and nothing is
 * read from a peer while it has more to do or does not take its answers: no peer can make us hold much for it.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { DebugTarget } from '../vm/debugger/debug-target.ts';
import { GdbSession } from '../vm/debugger/gdb-session.ts';
import { framed } from '../vm/debugger/packet-codec.ts';
import { UsageError } from './usage-error.ts';

const HOST = '127.0.0.1';
/** Packets served in a row before the machine and others get a turn. */
const PACKETS_A_TURN = 16;
/** Answers that a peer has not taken yet. */
const LONGEST_BACKLOG = 1 << 18;
/** A refused peer gets so long to read why. */
const FAREWELL_MS = 1000;

export interface GdbServer {
  readonly port: number;
  /** Tells a debugger how the machine ended, and closes. */
  close(status: number): void;
}

/** `ask` calls back between two slices of the machine; `tell` has a line for the user. */
export async function serveGdb(
  port: number,
  ask: (serve: (target: DebugTarget) => void) => void,
  tell: (line: string) => void,
): Promise<GdbServer> {
  let current: GdbConnection | undefined;
  const server = createServer({ noDelay: true }, (socket) => {
    if (current !== undefined) {
      tell('a second debugger was refused');
      refuse(socket);
      return;
    }
    current = new GdbConnection(socket, ask, (reason) => {
      current = undefined;
      if (reason !== undefined) tell(`the debugger's connection was closed: ${reason}`);
    });
  });
  await listen(server, port);
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    close(status) {
      current?.ended(status);
      server.close();
    },
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason =
        error.code === 'EADDRINUSE' ? 'something else listens there' : (error.code ?? error.message);
      reject(new UsageError(`--gdb ${port}: ${reason}`));
    });
    server.listen(port, HOST, () => {
      server.removeAllListeners('error');
      server.on('error', () => {});
      resolve();
    });
  });
}

function refuse(socket: Socket): void {
  socket.on('error', () => {});
  socket.resume();
  socket.setTimeout(FAREWELL_MS, () => socket.destroy());
  socket.end(framed('E.another debugger is connected'));
}

class GdbConnection {
  readonly #socket: Socket;
  readonly #ask: (serve: (target: DebugTarget) => void) => void;
  readonly #over: (reason: string | undefined) => void;
  #session: GdbSession | undefined;
  #chunks: Uint8Array[] = [];
  #asked = false;
  #closed = false;

  constructor(
    socket: Socket,
    ask: (serve: (target: DebugTarget) => void) => void,
    over: (reason: string | undefined) => void,
  ) {
    this.#socket = socket;
    this.#ask = ask;
    this.#over = over;
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      if (this.#closed) return;
      this.#chunks.push(bytes);
      socket.pause();
      this.#askForTurn();
    });
    socket.on('drain', () => this.#askForTurn());
    socket.on('close', () => this.#lost());
  }

  ended(status: number): void {
    this.#session?.ended(status);
    this.#finish(undefined);
  }

  #askForTurn(): void {
    if (this.#asked || this.#closed) return;
    this.#asked = true;
    this.#ask((target) => this.#serve(target));
  }

  #serve(target: DebugTarget): void {
    this.#asked = false;
    if (this.#closed) {
      this.#session?.lost();
      return;
    }
    this.#session ??= new GdbSession(target, {
      send: (bytes) => void this.#socket.write(bytes),
      close: (reason) => this.#finish(reason),
    });
    for (const chunk of this.#chunks.splice(0)) this.#session.receive(chunk);
    const more = this.#session.serve(PACKETS_A_TURN);
    if (this.#closed || this.#socket.writableLength > LONGEST_BACKLOG) return;
    if (more) this.#askForTurn();
    else this.#socket.resume();
  }

  /** What was written goes out; a peer that does not take it is cut off. */
  #finish(reason: string | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.resume();
    this.#socket.setTimeout(FAREWELL_MS, () => this.#socket.destroy());
    this.#socket.end();
    this.#over(reason);
  }

  #lost(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#over('it went away');
    // The machine's side of it is put in order in its turn.
    this.#ask(() => this.#session?.lost());
  }
}
