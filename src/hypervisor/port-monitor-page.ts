/**
 * Monitored notification pages (TLFS 2.0a §14.5, §14.8.10): a page that two partitions and the hypervisor share.
 * Guests set trigger bits in it; the hypervisor looks at them and signals events on behalf of the connection's
 * partition. One per monitor port; its page comes from the port partition's pool.
 *
 *   Pending set --seen--> Armed set --latency over--> both cleared, event signalled
 *
 * Chosen: latencies are kept between 100 us and 100 ms, and a page with no enabled group is looked at every
 * 100 ms. A notification whose signal fails is dropped, as §14.5.3 says.
 */
import type { PhysicalMemory } from '../cpu/processor.ts';
import { MONITOR_GROUP_ENABLE_MASK, MONITOR_GROUPS, MonitorPageLayout } from '../hvdef/synic.ts';

const MIN_LATENCY_NS = 100_000;
const MAX_LATENCY_NS = 100_000_000;
const TRIGGERS = 32;

/** Signals an event through a connection of the originating partition. */
export type SignalThroughConnection = (connectionId: number, flagNumber: number) => void;

export class MonitorPage {
  readonly #memory: PhysicalMemory;
  readonly spn: number;
  /** When an armed trigger is signalled; NaN where it is not armed. */
  readonly #signalAt = new Float64Array(MONITOR_GROUPS * TRIGGERS).fill(Number.NaN);
  /** Set while a connection names the partition that originates signals. */
  signal: SignalThroughConnection | undefined;
  #nextLook = 0;

  constructor(memory: PhysicalMemory, spn: number) {
    this.#memory = memory;
    this.spn = spn;
  }

  nextDeadline(): number {
    return this.signal === undefined ? Infinity : this.#nextLook;
  }

  /** Looks at the triggers and signals what is due at `now` (TSC ticks). */
  expire(now: number): void {
    if (this.signal === undefined || now < this.#nextLook) return;
    const { view } = this.#memory;
    const base = this.spn * 4096;
    const groups = view.getUint32(base + MonitorPageLayout.TriggerState, true) & MONITOR_GROUP_ENABLE_MASK;
    this.#nextLook = now + MAX_LATENCY_NS;
    for (let group = 0; group < MONITOR_GROUPS; group++) {
      if ((groups & (1 << group)) !== 0) this.#examineGroup(group, now);
    }
  }

  #examineGroup(group: number, now: number): void {
    const { view } = this.#memory;
    const at = this.spn * 4096 + MonitorPageLayout.TriggerGroups + group * 8;
    let pending = view.getUint32(at, true);
    let armed = view.getUint32(at + 4, true);
    for (let trigger = 0; trigger < TRIGGERS; trigger++) {
      const bit = 1 << trigger;
      const index = group * TRIGGERS + trigger;
      const hint = this.#latencyHint(index);
      const latency = Math.min(Math.max(hint, MIN_LATENCY_NS), MAX_LATENCY_NS);
      // Without a hint nobody waits for this trigger: it doesn't make the page be looked at more often.
      if (hint !== 0) this.#nextLook = Math.min(this.#nextLook, now + latency);
      if ((pending & bit) === 0) continue;
      this.#nextLook = Math.min(this.#nextLook, now + latency);
      // A guest that touches Pending clears Armed: the latency starts again.
      if ((armed & bit) === 0) {
        armed |= bit;
        this.#signalAt[index] = now + latency;
      } else if (!(now < this.#signalAt[index])) {
        pending &= ~bit;
        armed &= ~bit;
        this.#signalAt[index] = Number.NaN;
        view.setUint32(at, pending, true);
        this.#signalTrigger(index);
      }
    }
    view.setUint32(at, pending, true);
    view.setUint32(at + 4, armed, true);
  }

  /** In nanoseconds; 0: none. */
  #latencyHint(index: number): number {
    const at = this.spn * 4096 + MonitorPageLayout.Latency + index * 2;
    return this.#memory.view.getUint16(at, true) * 100;
  }

  #signalTrigger(index: number): void {
    const at = this.spn * 4096 + MonitorPageLayout.Parameters + index * 8;
    const { view } = this.#memory;
    this.signal?.(view.getUint32(at, true), view.getUint16(at + 4, true));
  }
}
