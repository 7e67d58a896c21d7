/**
 * How a virtual processor's parts reach one another: local APIC, SynIC, synthetic timers and synthetic MSRs each
 * state in their host interface what they need; here it is given to them. No state of its own.
 */
import type { Processor, ProcessorHost } from '../cpu/processor.ts';
import { TSC_OFFSET } from '../cpu/state-layout.ts';

import type { Privilege } from '../hvdef/privileges.ts';
import { PAGE_SIZE } from '../hvdef/types.ts';
import type { InterceptMessage } from './intercept-message.ts';
import { LocalApic } from './local-apic.ts';
import { traceMessage } from './message-trace.ts';
import type { Partition, VirtualProcessorCore } from './partition.ts';
import { APIC_BUS, CRASH, overlayHost, PORTS, SYNTHETIC_PAGES } from './partition-interrupts.ts';
import type { Parts } from './parts.ts';
import type { ReferenceTime } from './reference-time.ts';
import { STATS_REGISTERS } from './stats-registers.ts';
import { Synic } from './synic.ts';
import { SyntheticMsrs } from './synthetic-msr.ts';
import { SyntheticTimers } from './synthetic-timer.ts';
import { RESET_REQUEST } from './virtual-processor-reset.ts';
import type { VpAssistPage } from './vp-assist-page.ts';

/** The virtual processor as its parts see it. Parts made later are reached when they are needed. */
export interface WiredProcessor {
  readonly parts: Parts<VirtualProcessorCore>;
  readonly index: number;
  readonly partition: Partition;
  readonly processor: Processor;
  readonly message: InterceptMessage;
  readonly assistPage: VpAssistPage;
  readonly synic: Synic;
  readonly localApic: LocalApic;
  readonly timers: SyntheticTimers;
  readonly runTime: number;
  kick(): void;
  suspendForIntercept(): void;
  requestNmi(): void;
  requestInit(): void;
  requestStartup(vector: number): void;
  enterGuestIdle(): void;
}

/**
 * The processor whose state lies on page `statePage`; undefined when the machine has no room for its caches. Its
 * host exists only after it, so questions go through `host`.
 */
export function makeProcessor(
  partition: Partition,
  statePage: number,
  host: () => ProcessorHost | undefined,
): Processor | undefined {
  const { machine } = partition;
  return machine.createProcessor(machine.memory, statePage * PAGE_SIZE, {
    translateGpa: (gpn, access) => host()?.translateGpa(gpn, access) ?? -1,
    readTsc: () => host()?.readTsc() ?? 0,
    tscOrigin: () => host()?.tscOrigin?.() ?? 0,
  });
}

/** Undefined when the pool has too few pages. */
export function makeSynic(
  partition: Partition,
  index: number,
  time: ReferenceTime,
  requestInterrupt: (vector: number, autoEoi: boolean) => void,
): Synic | undefined {
  return Synic.create({
    ...overlayHost(partition, index),
    vpIndex: index,
    readTsc: () => time.readTsc(),
    referenceCount: () => time.count(),
    requestInterrupt,
    messageDelivered: (sint, slot) => traceMessage(partition, index, sint, slot),
    portBuffer: (id) => partition.parts.peek(PORTS)?.get(id)?.freeBuffer(),
  });
}

export function makeLocalApic(vp: WiredProcessor, time: ReferenceTime): LocalApic {
  const { processor } = vp;
  const { view } = vp.partition.machine.memory;
  const tscOffset = processor.stateAddress + TSC_OFFSET;
  const bus = vp.partition.parts.get(APIC_BUS);
  const apic: LocalApic = new LocalApic(
    {
      readTsc: () => time.readTsc(),
      guestTscOffset: () => Number(view.getBigInt64(tscOffset, true)),
      getCr8: () => Number(processor.getControl(8)),
      setCr8: (value) => processor.setControl(8, BigInt(value)),
      eoiAssist: vp.assistPage,
      levelEoi: (vector) => {
        vp.message.apicEoi(vector);
        vp.suspendForIntercept();
      },
      afterEoi: () => vp.synic.scan(),
      deliverabilityChanged: () => vp.kick(),
      sendIpi: (request) => void bus.deliver(request, apic),
      nmi: () => vp.requestNmi(),
      init: () => vp.requestInit(),
      startup: (vector) => vp.requestStartup(vector),
    },
    { apicId: vp.index, vpIndex: vp.index },
  );
  return apic;
}

export function makeTimers(vp: WiredProcessor, time: ReferenceTime): SyntheticTimers {
  const timers = new SyntheticTimers({
    referenceCount: () => time.count(),
    postTimer: (index, sint, expiration) => vp.synic.postTimer(index, sint, expiration),
    requestInterrupt: (vector) => vp.localApic.requestInterrupt(vector, false, false),
    deadlineChanged: () => vp.kick(),
  });
  vp.synic.timerBuffers.forEach((buffer, index) => {
    buffer.onDelivered = () => timers.messageDelivered(index);
  });
  return timers;
}

/** `forParent`: the set that register hypercalls use; the child's privileges don't count and nothing is traced. */
export function makeSyntheticMsrs(
  vp: WiredProcessor,
  time: ReferenceTime,
  forParent: boolean,
): SyntheticMsrs {
  const { partition } = vp;
  const pages = partition.parts.get(SYNTHETIC_PAGES);
  return new SyntheticMsrs({
    vpIndex: vp.index,
    hasPrivilege: (privilege) => forParent || partition.hasPrivilege(privilege as Privilege),
    time,
    hypercallPage: pages.hypercallPage!,
    referenceTscPage: pages.referenceTscPage!,
    crash: partition.parts.get(CRASH).registers,
    apic: vp.localApic,
    assistPage: vp.assistPage,
    synic: vp.synic,
    timers: vp.timers,
    statistics: vp.parts.get(STATS_REGISTERS),
    runTime: () => vp.runTime,
    systemReset: () => partition.parts.get(RESET_REQUEST).request(vp.index),
    guestIdle: () => vp.enterGuestIdle(),
    written: forParent ? undefined : (...write) => traceMsrWrite(vp, ...write),
  });
}

function traceMsrWrite(
  vp: WiredProcessor,
  msr: number,
  name: string,
  low: number,
  high: number,
  accepted: boolean,
): void {
  const { trace } = vp.partition.machine;
  if (trace.sink === undefined) return;
  const value = (BigInt(high) << 32n) | BigInt(low);
  const who = { partition: vp.partition.id, vp: vp.index };
  trace.sink({ kind: 'synthetic-msr-write', ...who, msr, name, value, fault: !accepted });
}
