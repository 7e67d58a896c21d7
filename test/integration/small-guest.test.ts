/** Multiboot kernels of our own, run by the real command: what they print, and how the command ends. */
import { existsSync, readFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { SMALL_GUEST_FAREWELL, SMALL_GUEST_GREETING, smallGuest } from '../../src/guests/small-guest.ts';
import * as guests from '../guests/programs.ts';
import { partita, start, workFolder } from './partita-command.ts';

const folder = workFolder();
afterAll(() => folder.remove());

let count = 0;
const kernel = (bytes: Uint8Array): string => {
  count++;
  return folder.write(`kernel-${count}.elf`, bytes);
};
const run = (bytes: Uint8Array, ...more: string[]) =>
  partita('run', '--kernel', kernel(bytes), '--memory', '32M', '--timeout', '60', ...more);

describe('the small guest', () => {
  test('prints on serial, sees the hypervisor and leaves by the exit port', async () => {
    const result = await run(smallGuest(), '--append', 'hello there');
    expect(result.stdout).toContain(SMALL_GUEST_GREETING);
    expect(result.stdout).toMatch(/Command line: .*hello there\n/);
    expect(result.stdout).toContain('Microsoft Hv');
    expect(result.stdout).toMatch(/Interface: +0x31237648\n/);
    expect(result.stdout).toMatch(/Status of hypercall 0: +0x00000002\n/);
    expect(result.stdout).toContain(SMALL_GUEST_FAREWELL);
    expect(result.status).toBe(1);
  });

  test('--json ends with a summary whose figures fit what happened', async () => {
    const result = await run(smallGuest(), '--json');
    const summary = JSON.parse(result.stdout.trimEnd().split('\n').at(-1) ?? '');
    expect(summary).toMatchObject({ outcome: 'exit-port', status: 1 });
    expect(summary.instructions).toBeGreaterThan(1000);
    expect(summary.pagesMapped).toBeGreaterThanOrEqual(8192);
    expect(summary.pool.deposited).toBeGreaterThan(summary.pool.available);
    expect(summary.hypercalls.HvCreatePartition).toEqual({ HV_STATUS_SUCCESS: 1 });
    expect(summary.secondsToFirstSerial).toBeLessThanOrEqual(summary.seconds);
    const { instructions, tlb, decoder } = summary.profile;
    expect(instructions.interpreter + instructions.regions).toBe(summary.instructions);
    expect(tlb.misses).toBe(tlb.secondLevelHits + tlb.walks);
    expect(decoder.instructions).toBeGreaterThan(100);
  });

  test('--serial file: writes the same, and none writes nothing', async () => {
    const path = folder.path('serial.txt');
    const toFile = await run(smallGuest(), '--serial', `file:${path}`);
    expect(toFile.stdout).toBe('');
    expect(readFileSync(path, 'latin1')).toContain(SMALL_GUEST_FAREWELL);
    const toNone = await run(smallGuest(), '--serial', 'none');
    expect(toNone).toMatchObject({ stdout: '', status: 1 });
  });

  test('--trace tells the life of the partition as JSON lines', async () => {
    const path = folder.path('trace.jsonl');
    await run(smallGuest(), '--trace', path);
    const records = readFileSync(path, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { kind: string; name?: string; status?: string });
    const calls = records.filter((record) => record.kind === 'hypercall').map((record) => record.name);
    const wanted = [
      'HvCreatePartition',
      'HvDepositMemory',
      'HvInitializePartition',
      'HvCreateVp',
      'HvMapGpaPages',
    ];
    for (const name of wanted) expect(calls).toContain(name);
    expect(calls.indexOf('HvCreatePartition')).toBeLessThan(calls.indexOf('HvCreateVp'));
    for (const kind of ['intercept', 'message', 'synthetic-msr-write', 'mapping']) {
      expect(records.map((record) => record.kind)).toContain(kind);
    }
  });

  test('modules arrive with their content and command line', async () => {
    const module = folder.write('module.txt', 'the content\0');
    const result = await run(guests.printModules(), '--module', `${module} with words`);
    expect(result.stdout).toContain('modules 00000001');
    expect(result.stdout).toMatch(/command line .*with words/);
    expect(result.stdout).toContain('content the content');
  });
});

describe('the exit status', () => {
  test.each([0, 1, 16, 63])('is (v << 1) | 1 for %i at the exit port', async (value) => {
    expect((await run(guests.exitWith(value))).status).toBe((value << 1) | 1);
  });

  test('is 3 after a triple fault, which is named', async () => {
    const result = await run(guests.tripleFault());
    expect(result.stdout).toContain('before');
    expect(result.stderr).toMatch(/triple fault/i);
    expect(result.status).toBe(3);
  });

  test('is 3 for a crash reported through the crash MSRs, whose text is told', async () => {
    const result = await run(guests.reportCrash('Oops: all is lost'), '--timeout', '10');
    expect(result.stderr).toContain('Oops: all is lost');
    expect(result.status).toBe(3);
  });

  test('is 3 for a guest that executes rubbish, or jumps to nowhere', async () => {
    expect((await run(guests.rubbish())).status).toBe(3);
    expect((await run(guests.jumpNowhere())).status).toBe(3);
  });

  test.each([
    ['loops', guests.loopForever],
    ['halts', guests.haltForever],
  ])('is 124 for a guest that %s for ever with interrupts off, at the time asked for', async (_, guest) => {
    const result = await partita('run', '--kernel', kernel(guest()), '--memory', '32M', '--timeout', '1.5');
    expect(result.status).toBe(124);
    expect(result.stderr).toContain('--timeout');
    expect(result.seconds).toBeLessThan(6);
  });

  test('is 130 and 143 for SIGINT and SIGTERM', async () => {
    for (const [signal, status] of [['SIGINT', 130] as const, ['SIGTERM', 143] as const]) {
      const command = start([
        'run',
        '--kernel',
        kernel(guests.loopForever()),
        '--memory',
        '32M',
        '--timeout',
        '60',
      ]);
      await command.shows('looping');
      command.signal(signal);
      expect((await command.end).status).toBe(status);
    }
  });
});

describe('a running machine', () => {
  test('gets what is typed', async () => {
    const command = start(['run', '--kernel', kernel(guests.echo()), '--memory', '32M', '--timeout', '60']);
    await command.shows('ready');
    command.input('abcq');
    const result = await command.end;
    expect(result.stdout).toContain('abcq');
    expect(result.status).toBe(15);
  });

  test('can be inspected, and leaves no socket behind', async () => {
    const environment = { XDG_RUNTIME_DIR: folder.path('runtime') };
    const options = ['run', '--kernel', kernel(guests.echo()), '--memory', '32M', '--timeout', '60'];
    const command = start(options, environment);
    await command.shows('ready');
    const asJson = await start(['inspect', '--json'], environment).end;
    const document = JSON.parse(asJson.stdout);
    expect(JSON.stringify(document)).toMatch(/partition/i);
    const asText = await start(['inspect', String(command.pid)], environment).end;
    expect(asText.stdout).toContain('machine:');
    expect(asText.status).toBe(0);
    command.input('q');
    await command.end;
    expect(existsSync(`${environment.XDG_RUNTIME_DIR}/partita/${command.pid}.sock`)).toBe(false);
  });
});

test('20,000 hypercalls with random input neither stop the guest nor the host', async () => {
  const result = await run(guests.randomHypercalls(20_000));
  expect(result.stderr).not.toContain('defect');
  expect(result.stdout).toContain('survived');
  expect(result.status).toBe(1);
});
