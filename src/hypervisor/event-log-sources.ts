/** What becomes an event of the logs (TLFS 2.0a §19.2.2, Appendix I). Runs only while something is enabled. */
import { Exit, type Processor } from '../cpu/processor.ts';
import { DiagnosticSource, EventLogEntry, SystemSource } from '../hvdef/event-log.ts';
import { HvStatus } from '../hvdef/status.ts';
import type { EventSink } from './event-log-sink.ts';
import type { HypercallRequest } from './hypercall-request.ts';
import type { Partition } from './partition.ts';

const { Admin, PerfGeneral } = DiagnosticSource;
const OBJECT = DiagnosticSource.Object | Admin;
const VIRTUAL_PROCESSOR = DiagnosticSource.VirtualProcessor | Admin;
const HYPERCALL = DiagnosticSource.Hypercall | PerfGeneral;
const INTERCEPT = DiagnosticSource.Intercept | PerfGeneral;
const SCHEDULER = DiagnosticSource.Scheduler | PerfGeneral;
const SUCCESS = BigInt(HvStatus.SUCCESS);

/** The entry's context: partition in the low half, VP in the high. */
function contextOf(partition: number, vp: number): number {
  return ((partition & 0xffff) | (vp << 16)) >>> 0;
}

export function logPartition(log: EventSink, partition: Partition): void {
  const created = partition.state === 'uninitialized';
  if (!created && partition.state !== 'deleted') return;
  const entry = created ? EventLogEntry.CreatePartition : EventLogEntry.DeletePartition;
  const words = [BigInt(partition.id), SUCCESS];
  log.diagnose(OBJECT, entry, contextOf(partition.id, 0), ...words);
  log.report(SystemSource.Success, entry, contextOf(partition.id, 0), ...words);
}

export function logProcessor(log: EventSink, partition: number, vp: number, state: string): void {
  if (state !== 'created' && state !== 'deleted') return;
  const entry = state === 'created' ? EventLogEntry.CreateVp : EventLogEntry.DeleteVp;
  log.diagnose(VIRTUAL_PROCESSOR, entry, contextOf(partition, vp), BigInt(partition), BigInt(vp), SUCCESS);
}

/** A hypercall that the caller may not make. */
export function logDenied(
  log: EventSink,
  { caller, callerVp, controlLow, controlHigh }: HypercallRequest,
): void {
  const input = (BigInt(controlHigh) << 32n) | BigInt(controlLow >>> 0);
  const status = BigInt(HvStatus.ACCESS_DENIED);
  log.report(SystemSource.Failure, EventLogEntry.Hypercall, contextOf(caller.id, callerVp), input, status);
}

export function logExit(
  log: EventSink,
  partition: number,
  vp: number,
  processor: Processor,
  exit: Exit,
): void {
  const context = contextOf(partition, vp);
  const rip = processor.getRip();
  switch (exit) {
    case Exit.Hypercall:
      log.diagnose(HYPERCALL, EventLogEntry.Hypercall, context, rip, processor.getGpr(1));
      return;
    case Exit.Port: {
      const { port, write, value } = processor.portExit;
      const entry = write ? EventLogEntry.PortWrite : EventLogEntry.PortRead;
      log.diagnose(INTERCEPT, entry, context, rip, BigInt(port), BigInt(write ? value : 0));
      return;
    }
    case Exit.MsrRead:
    case Exit.MsrWrite: {
      const write = exit === Exit.MsrWrite;
      const value = write ? (processor.getGpr(2) << 32n) | (processor.getGpr(0) & 0xffff_ffffn) : 0n;
      const entry = write ? EventLogEntry.MsrWrite : EventLogEntry.MsrRead;
      log.diagnose(INTERCEPT, entry, context, rip, BigInt(processor.msrExit.msr), value);
      return;
    }
    case Exit.Cpuid:
      log.diagnose(INTERCEPT, EventLogEntry.Cpuid, context, rip, processor.getGpr(0), processor.getGpr(1));
      return;
    case Exit.Halt:
      log.diagnose(INTERCEPT, EventLogEntry.Halt, context, rip);
      return;
    case Exit.Memory:
      log.diagnose(
        INTERCEPT,
        EventLogEntry.MemoryIntercept,
        context,
        rip,
        BigInt(processor.memoryExit.access),
      );
      return;
    case Exit.Exception:
      log.diagnose(
        INTERCEPT,
        EventLogEntry.GuestException,
        context,
        rip,
        BigInt(processor.exceptionExit.vector),
      );
      return;
    case Exit.TripleFault:
      log.diagnose(INTERCEPT, EventLogEntry.GuestShutdown, context, rip);
      return;
    default:
  }
}

export function logContextSwitch(log: EventSink, partition: number, vp: number): void {
  log.diagnose(
    SCHEDULER,
    EventLogEntry.ContextSwitch,
    contextOf(partition, vp),
    BigInt(partition),
    BigInt(vp),
    0n,
  );
}

export function logSample(log: EventSink, partition: number, vp: number, processor: Processor): void {
  const words = [BigInt(partition), BigInt(vp), processor.getRip()];
  log.diagnose(DiagnosticSource.Profiler, EventLogEntry.ProfilerSample, contextOf(partition, vp), ...words);
}
