/**
 * NUMA nodes of the machine that Partita runs on, as Linux tells them in /sys/devices/system/node: those with
 * memory, how much, and how far apart.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface HostNodes {
  /** Bytes of memory by node. */
  memory: number[];
  distances: number[][];
}

const FOLDER = '/sys/devices/system/node';

/** Undefined where the system does not tell. */
export function hostNodes(folder = FOLDER): HostNodes | undefined {
  try {
    const numbers = readdirSync(folder)
      .map((name) => /^node(\d+)$/.exec(name)?.[1])
      .filter((text) => text !== undefined)
      .map(Number)
      .sort((a, b) => a - b);
    const all = numbers.map((number) => {
      const read = (file: string) => readFileSync(join(folder, `node${number}`, file), 'utf8');
      const kilobytes = /MemTotal:\s*(\d+) kB/.exec(read('meminfo'))?.[1];
      return {
        bytes: Number(kilobytes ?? 0) * 1024,
        distances: read('distance').trim().split(/\s+/).map(Number),
      };
    });
    const filled = [...all.keys()].filter((index) => all[index].bytes > 0);
    if (filled.length === 0) return undefined;
    return {
      memory: filled.map((index) => all[index].bytes),
      distances: filled.map((from) => filled.map((to) => all[from].distances[to])),
    };
  } catch {
    return undefined;
  }
}
