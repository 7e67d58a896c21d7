/**
 * The interpreter's WebAssembly module, the same for all processors: built (some 100 ms) and compiled once a process. A
 * process that starts from a start image (cli/start-image) finds the bytes built. V8 compiles a function when it is first
 * called: to have all of them compiled on its threads meanwhile took longer.
 */
import { buildInterpreter } from './interpreter.ts';

let bytes: Uint8Array<ArrayBuffer> | undefined;
let compiled: WebAssembly.Module | undefined;
let shared: WebAssembly.Module | undefined;

export function interpreterBytes(): Uint8Array<ArrayBuffer> {
  bytes ??= buildInterpreter() as Uint8Array<ArrayBuffer>;
  return bytes;
}

/** `isShared`: for processors whose memory other threads execute on. */
export function interpreterModule(isShared = false): WebAssembly.Module {
  if (isShared) {
    shared ??= new WebAssembly.Module(buildInterpreter(true) as Uint8Array<ArrayBuffer>);
    return shared;
  }
  compiled ??= new WebAssembly.Module(interpreterBytes());
  return compiled;
}
