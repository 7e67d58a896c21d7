/**
 * `--debug-connection PATH`: the guest's debug connection (TLFS 2.0a §20.1: HvPostDebugData and HvRetrieveDebugData)
 * as a byte stream on a unix-domain socket, for a kernel debugger's transport. One peer at a time, as on a cable; a
 * second one is sent away. What the guest posts while nobody is there waits in its own buffer of a page; what does not
 * fit the guest's buffer waits here, with nothing more read from the peer: neither side makes the other hold much.
 */
import { rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { DEBUG_CHANNEL } from '../vm/assembly.ts';
import { UsageError } from './usage-error.ts';

/** How often a peer whose bytes did not fit is tried again. */
const RETRY_MS = 10;
/** Bytes that a peer has not taken yet. */
const LONGEST_BACKLOG = 1 << 16;

/** The host end of the connection, as the machine gives it. */
export interface ConnectionEnd {
  deliver(channel: number, bytes: Uint8Array): number;
  take(channel: number): Uint8Array;
  onPosted: ((channel: number) => void) | undefined;
}

export interface DebugServer {
  close(): void;
}

/** Resolves when the socket listens; rejects with a UsageError that names the option. */
export function serveDebugConnection(path: string, end: ConnectionEnd): Promise<DebugServer> {
  let peer: Socket | undefined;
  const forward = () => {
    if (peer === undefined || peer.writableLength > LONGEST_BACKLOG) return;
    const bytes = end.take(DEBUG_CHANNEL);
    if (bytes.length > 0) peer.write(bytes);
  };
  end.onPosted = forward;
  const server = createServer((socket) => {
    if (peer !== undefined) {
      socket.destroy();
      return;
    }
    peer = socket;
    let retry: NodeJS.Timeout | undefined;
    const accept = (bytes: Uint8Array) => {
      const rest = bytes.subarray(end.deliver(DEBUG_CHANNEL, bytes));
      if (rest.length === 0) socket.resume();
      else {
        socket.pause();
        retry = setTimeout(accept, RETRY_MS, rest);
      }
    };
    socket.on('data', accept);
    socket.on('drain', forward);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      clearTimeout(retry);
      peer = undefined;
    });
    forward();
  });
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason =
        error.code === 'EADDRINUSE' ? 'something is there already' : (error.code ?? error.message);
      reject(new UsageError(`--debug-connection ${path}: ${reason}`));
    });
    server.listen(path, () => {
      resolve({
        close() {
          end.onPosted = undefined;
          peer?.destroy();
          server.close();
          rmSync(path, { force: true });
        },
      });
    });
  });
}
