/**
 * What a virtual processor counts about itself: exits by kind, hypercalls by call code and status, intercept
 * messages by type. Plain numbers in typed arrays and maps; the VP owns them, summaries read them.
 */
import { Exit } from '../cpu/processor.ts';
import { hypercallDefinition } from '../hvdef/hypercalls.ts';
import { MessageType } from '../hvdef/messages.ts';
import { statusName } from '../hvdef/status.ts';

export const EXIT_NAMES: readonly string[] = (() => {
  const names: string[] = [];
  for (const [name, code] of Object.entries(Exit)) names[code] = name;
  return names;
})();

export class ExitCounters {
  /** Indexed by `Exit`. */
  readonly exits = new Float64Array(EXIT_NAMES.length);
  /** Key: call code * 65536 + status. */
  readonly hypercalls = new Map<number, number>();
  /** Key: message type. */
  readonly interceptMessages = new Map<number, number>();
  interruptsDelivered = 0;

  countHypercall(callCode: number, status: number): void {
    const key = callCode * 0x10000 + status;
    this.hypercalls.set(key, (this.hypercalls.get(key) ?? 0) + 1);
  }

  countInterceptMessage(type: number): void {
    this.interceptMessages.set(type, (this.interceptMessages.get(type) ?? 0) + 1);
  }

  /** Exits by name, those that never happened left out. */
  exitsByName(): Record<string, number> {
    const result: Record<string, number> = {};
    this.exits.forEach((count, code) => {
      if (count > 0) result[EXIT_NAMES[code]] = count;
    });
    return result;
  }

  /** Hypercalls by name, each by status. */
  hypercallsByName(): Record<string, Record<string, number>> {
    const result: Record<string, Record<string, number>> = {};
    for (const [key, count] of this.hypercalls) {
      const code = Math.floor(key / 0x10000);
      const name = hypercallDefinition(code)?.name ?? `0x${code.toString(16).padStart(4, '0')}`;
      result[name] ??= {};
      result[name][statusName(key % 0x10000)] = count;
    }
    return result;
  }

  /** Intercept messages by type. */
  interceptsByName(): Record<string, number> {
    const result: Record<string, number> = {};
    for (const [name, type] of Object.entries(MessageType)) {
      const count = this.interceptMessages.get(type);
      if (count !== undefined) result[name] = count;
    }
    return result;
  }
}
