/**
 * Runs one virtual machine monitor as a process with its serial port on standard output, and measures it from
 * outside: wall clock, processor time and peak memory from /proc, read while it runs.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Resolution of processor time and peak memory. */
const SAMPLE_MS = 40;
/** Linux counts process times in hundredths of a second on every machine. */
const TICKS_PER_SECOND = 100;

export interface Measurement {
  /** Everything it printed. */
  text: string;
  /** Seconds from the start of the process to the end of the line that holds `marker`. */
  markerSeconds: number | undefined;
  seconds: number;
  processorSeconds: number;
  peakMebibytes: number;
  status: number | null;
}

export function measure(
  program: string,
  parameters: readonly string[],
  marker: string,
  timeoutSeconds: number,
): Promise<Measurement> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const elapsed = (): number => (performance.now() - started) / 1000;
    const child = spawn(program, parameters, { stdio: ['ignore', 'pipe', 'pipe'] });
    const result: Measurement = {
      text: '',
      markerSeconds: undefined,
      seconds: 0,
      processorSeconds: 0,
      peakMebibytes: 0,
      status: null,
    };
    const sampler = setInterval(() => sample(child.pid, result), SAMPLE_MS);
    const limit = setTimeout(() => child.kill('SIGKILL'), timeoutSeconds * 1000);
    const receive = (part: Buffer): void => {
      result.text += part.toString('latin1').replaceAll('\r', '');
      if (result.markerSeconds === undefined && result.text.includes(`${marker}\n`))
        result.markerSeconds = elapsed();
      sample(child.pid, result);
    };
    child.stdout.on('data', receive);
    child.stderr.on('data', receive);
    child.on('error', reject);
    child.on('close', (status) => {
      clearInterval(sampler);
      clearTimeout(limit);
      resolve({ ...result, seconds: elapsed(), status });
    });
  });
}

function sample(pid: number | undefined, into: Measurement): void {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const peak = Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024;
    // The second field, the program's name, may hold spaces; the rest follows its closing parenthesis.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    const ticks = Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
    into.peakMebibytes = Math.max(into.peakMebibytes, peak);
    into.processorSeconds = Math.max(into.processorSeconds, ticks / TICKS_PER_SECOND);
  } catch {
    // The process has just ended, or this is no Linux: what was sampled before stands.
  }
}
