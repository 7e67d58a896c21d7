/**
 * Runs one machine from the command line: connects serial port, keyboard, trace, inspection and signals to it,
 * waits for its end, and puts everything back. The machine's run loop yields to this event loop often enough
 * for keys and signals.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { DebugConnection } from '../vm/host.ts';
import { VirtualMachine } from '../vm/virtual-machine.ts';
import type { VmConfig } from '../vm/vm-config.ts';
import type { VmOutcome, VmSummary } from '../vm/vm-outcome.ts';
import { serveDebugConnection } from './debug-connection.ts';
import { describeOutcome, ExitStatus } from './exit-status.ts';
import { type GdbServer, serveGdb } from './gdb-server.ts';
import { serveInspection } from './inspect-socket.ts';
import type { SerialTarget } from './run-options.ts';
import { createSnapshotFile } from './snapshot-files.ts';
import { nameInText, withSymbols } from './symbols/named-addresses.ts';
import type { SymbolTable } from './symbols/symbol-table.ts';
import { openTerminal } from './terminal.ts';
import { TraceFile } from './trace-file.ts';
import { UsageError } from './usage-error.ts';

export interface MachineConnections {
  serial: SerialTarget;
  /** Path of the trace file. */
  trace?: string;
  /** Where gdb may connect. */
  gdbPort?: number;
  /** Path of a socket for the guest's debug connection. */
  debugConnection?: string;
  /** Names for code addresses. */
  symbols?: SymbolTable;
  /** Sees the guest's serial output as well. */
  watch?: (bytes: Uint8Array) => void;
}

export interface MachineEnd {
  outcome: VmOutcome;
  status: number;
  summary: VmSummary;
  /** What `inspect()` told at the end. */
  inspection: unknown;
}

/** Throws ConfigurationError or UsageError before the machine runs; never afterwards. */
export async function runMachine(config: VmConfig, connections: MachineConnections): Promise<MachineEnd> {
  const closers: (() => void)[] = [];
  try {
    const { symbols } = connections;
    const named = <T>(value: T): T => (symbols === undefined ? value : (withSymbols(value, symbols) as T));
    const output = openOutput(connections.serial, closers);
    const trace = openTrace(connections.trace, closers);
    const debugConnection = await openDebugConnection(connections.debugConnection, closers);
    const machine = VirtualMachine.create(
      { ...config, guestDebugging: debugConnection !== undefined },
      {
        serialOutput(bytes) {
          output(bytes);
          connections.watch?.(bytes);
        },
        trace: trace && ((record) => trace.write(named(record))),
        debugConnection,
      },
    );
    const signal = stopOnSignals(machine, closers);
    const describe = () => ({
      process: process.pid,
      kernel: config.kernel.name,
      machine: named(machine.inspect()),
      summary: machine.summary(),
    });
    const inspection = serveInspection(describe, ({ file, goOn }, waiter) => {
      machine.snapshot({
        open: () => createSnapshotFile(file),
        goOn,
        progress: ({ done, total }) => waiter.progress(done, total),
        done: (problem) => waiter.done(problem),
        get cancelled() {
          return waiter.gone;
        },
      });
    });
    closers.push(() => inspection.close());
    if (connections.serial.kind === 'stdio') connectKeyboard(machine, closers);

    const gdb = await openGdb(machine, connections.gdbPort);

    const ended = await machine.run();
    const outcome =
      ended.kind === 'crash' && symbols !== undefined
        ? { ...ended, text: nameInText(ended.text, symbols) }
        : ended;
    const status = outcome.kind === 'stopped' ? signal() : describeOutcome(outcome).status;
    gdb?.close(status);
    return { outcome, status, summary: machine.summary(), inspection: named(machine.inspect()) };
  } finally {
    for (const close of closers.reverse()) close();
  }
}

function openOutput(serial: SerialTarget, closers: (() => void)[]): (bytes: Uint8Array) => void {
  if (serial.kind === 'none') return () => {};
  if (serial.kind === 'stdio') return (bytes) => void process.stdout.write(bytes);
  const descriptor = open('--serial file:', serial.path, () => openSync(serial.path, 'w'));
  closers.push(() => closeSync(descriptor));
  return (bytes) => {
    for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
  };
}

async function openDebugConnection(
  path: string | undefined,
  closers: (() => void)[],
): Promise<DebugConnection | undefined> {
  if (path === undefined) return undefined;
  const connection = new DebugConnection();
  const server = await serveDebugConnection(path, connection);
  closers.push(() => server.close());
  return connection;
}

async function openGdb(machine: VirtualMachine, port: number | undefined): Promise<GdbServer | undefined> {
  if (port === undefined) return undefined;
  const tell = (line: string): void => void process.stderr.write(`partita: ${line}\n`);
  const server = await serveGdb(port, (serve) => machine.debug(serve), tell);
  tell(`gdb may connect: target remote :${server.port}`);
  return server;
}

function openTrace(path: string | undefined, closers: (() => void)[]): TraceFile | undefined {
  if (path === undefined) return undefined;
  const file = open('--trace ', path, () => new TraceFile(path));
  closers.push(() => file.close());
  return file;
}

function open<T>(option: string, path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new UsageError(`${option}${path}: ${(error as NodeJS.ErrnoException).code ?? error}`);
  }
}

/** SIGINT, SIGTERM, SIGHUP and a reader that went away stop the machine; returns the status that follows. */
function stopOnSignals(machine: VirtualMachine, closers: (() => void)[]): () => number {
  let status: number = ExitStatus.Interrupted;
  const stopWith = (value: number) => (): void => {
    status = value;
    machine.stop();
  };
  const handlers = [
    ['SIGINT', stopWith(ExitStatus.Interrupted)],
    ['SIGTERM', stopWith(ExitStatus.Terminated)],
    ['SIGHUP', stopWith(ExitStatus.Terminated)],
  ] as const;
  for (const [name, handler] of handlers) process.on(name, handler);
  const brokenPipe = stopWith(ExitStatus.Interrupted);
  process.stdout.on('error', brokenPipe);
  closers.push(() => {
    for (const [name, handler] of handlers) process.off(name, handler);
  });
  return () => status;
}

function connectKeyboard(machine: VirtualMachine, closers: (() => void)[]): void {
  const terminal = openTerminal({
    input: (bytes) => machine.serialInput(bytes),
    quit: () => machine.stop(),
    information() {
      const { instructions, seconds, pagesMapped, pool } = machine.summary();
      return (
        `process ${process.pid}: ${seconds.toFixed(1)} s, ${(instructions / 1e6).toFixed(0)} M instructions, ` +
        `${pagesMapped} pages mapped, pool ${pool.available} of ${pool.deposited} pages free; ` +
        `partita inspect ${process.pid} tells more\n`
      );
    },
  });
  closers.push(() => terminal.close());
}
