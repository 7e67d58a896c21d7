import { describe, expect, test } from 'vitest';
import { multibootImage } from './loaders/hand-made-images.ts';
import { type TraceRecord, VirtualMachine } from './virtual-machine.ts';
import type { VmConfig } from './vm-config.ts';
import type { VmOutcome } from './vm-outcome.ts';

const LOAD_ADDRESS = 0x10_0000;

/** 32-bit code that is entered at 0x100030 (the listings are in the comments). */
const GUESTS = {
  // esi = "Hi\n"; ecx = 3; edx = 0x3f8; rep outsb; al = 0x21; out 0xf4, al
  hello: 'be48001000b903000000baf8030000fcf36eb021e6f4ebfe48690a',
  // lidt of an empty table; ud2
  tripleFault: '0f011d390010000f0b0000000000000000',
  // lidt of an empty table; jmp 0xf0000000
  jumpToNowhere: '0f011d3e001000b8000000f0ffe00000000000000000',
  // cli; jmp self
  spin: 'faebfe',
  // cli; hlt
  sleep: 'faf4ebfe',
  // polls the serial port, echoes what comes, exits with "q"
  echo: 'bafd030000eca80174f6baf8030000ecee3c7175ebe6f4ebfe',
  // reads the I/O APIC's version by mov and movzx; exits with 1 when it is right, else 2
  ioapic: 'c7050000c0fe01000000a11000c0fe89c10fb61d1000c0fe81f920001700750983fb207504b001e6f4b002e6f4ebfe',
  // writes to 0xf0000000, reads it, exits with what was read plus 1
  hole: 'c705000000f005000000a1000000f040e6f4ebfe',
  // exits with the first byte of the first Multiboot module
  module: '3d02b0ad2b75098b4b188b098a01e6f4b000e6f4ebfe',
  // rep insb of 600 bytes from port 0x64 to 0x200000; exits with last byte - byte behind it + (edi - end) + ecx
  insb: 'bf00002000b958020000ba64000000fcf36ca0570220002a0558022000baf400000089fe81ee5802200000c800c801f0e6f4ebfe',
  // 0x3400 to PM1 control
  powerOff: 'ba0404000066b8003466efebfe',
  // 6 to 0xcf9
  reset: 'baf90c0000b006eeebfe',
  // I/O APIC pin 4 to vector 0x40; sends "." when ready; hlt; the handler echoes what comes and exits with "q"
  interrupt:
    'bc00000800b8ad00100066a3000207008c0d0202070066c70504020700008ec1e81066a3060207000f011dc7001000c705f000e0' +
    'feff010000c7050000c0fe19000000c7051000c0fe00000000c7050000c0fe18000000c7051000c0fe40000000bafc030000b008' +
    'eebaf9030000b001eebaf8030000b02eeefbf4ebfcbaf8030000ecc705b000e0fe000000003c717402eecfe6f4ebfeff07000007' +
    '00',
  // reads the I/O APIC's version by push, fild and rep movsd; rep stosd, lock xadd and movdqu on 0xf0000000; exits with
  // 7 when the version and the ones of the hole have come out everywhere
  everyKind:
    'bc00000800c7050000c0fe01000000ff351000c0fe58dbe3db051000c0fedb1d00002000be1000c0febf10002000b901000000fc' +
    'f3a5230500002000230510002000bf000000f0b90a000000f3abbb01000000f00fc11d000000f00f20e181c9000200000f22' +
    'e1f30f6f05000000f0660f7ec121cb432d2000170009d80407e6f4ebfe',
  // crash MSRs: P3 = address of "it broke", P4 = 8, control = notify and message
  crash: 'b903010040b85200100031d20f3041b8080000000f304131c0ba000000c00f30ebfe69742062726f6b65',
  // 1 to the reset MSR
  resetMsr: 'b903000040b80100000031d20f30ebfe',
} as const;

interface Run {
  outcome: VmOutcome;
  machine: VirtualMachine;
  output: string;
  trace: TraceRecord[];
}

async function run(
  guest: keyof typeof GUESTS,
  change: Partial<VmConfig> = {},
  during: (machine: VirtualMachine, output: string) => void = () => {},
  typed = '',
): Promise<Run> {
  const code = Uint8Array.from(Buffer.from(GUESTS[guest], 'hex'));
  let output = '';
  const trace: TraceRecord[] = [];
  const machine = VirtualMachine.create(
    {
      kernel: { name: guest, bytes: multibootImage(LOAD_ADDRESS, code) },
      modules: [],
      commandLine: '',
      memoryBytes: 8 * 2 ** 20,
      vpCount: 1,
      timeoutSeconds: 10,
      ...change,
    },
    {
      serialOutput: (bytes) => {
        output += new TextDecoder().decode(bytes);
        during(machine, output);
      },
      trace: (record) => trace.push(record),
    },
  );
  machine.serialInput(new TextEncoder().encode(typed));
  const outcome = await machine.run();
  return { outcome, machine, output, trace };
}

describe('a guest', () => {
  test('prints on the serial port with rep outs and leaves by the exit port', async () => {
    const { outcome, output, machine } = await run('hello');
    expect(outcome).toEqual({ kind: 'exit-port', value: 0x21, status: 0x43 });
    expect(output).toBe('Hi\n');
    expect(machine.summary().secondsToFirstSerial).toBeGreaterThanOrEqual(0);
  });

  test('fills memory with rep ins, more elements than one intercept moves', async () => {
    expect((await run('insb')).outcome).toMatchObject({ kind: 'exit-port', value: 0xff });
  });

  test('reaches the I/O APIC by mov and movzx', async () => {
    expect((await run('ioapic')).outcome).toMatchObject({ value: 1 });
  });

  test('reads ones where no memory is, whatever it wrote there', async () => {
    expect((await run('hole')).outcome).toMatchObject({ value: 0 });
  });

  test('finds its module', async () => {
    const modules = [{ name: 'm', bytes: Uint8Array.of(77), commandLine: '' }];
    expect((await run('module', { modules })).outcome).toMatchObject({ value: 77 });
  });

  test('powers off and resets by the ACPI registers', async () => {
    expect((await run('powerOff')).outcome).toEqual({ kind: 'power-off' });
    expect((await run('reset')).outcome).toEqual({ kind: 'reset' });
  });

  test('that triple-faults ends as a crash that says where', async () => {
    const { outcome } = await run('tripleFault');
    expect(outcome).toMatchObject({
      kind: 'crash',
      text: expect.stringMatching(/triple fault.*RIP 0x100037/),
    });
  });

  test('that jumps to nowhere meets an invalid opcode there', async () => {
    expect((await run('jumpToNowhere')).outcome).toMatchObject({ kind: 'crash' });
  });

  test('that pushes, copies, fills, exchanges and loads from devices and holes finds what is there', async () => {
    expect((await run('everyKind')).outcome).toMatchObject({ kind: 'exit-port', value: 7 });
  });

  test('that loops with interrupts off ends at the timeout, and so does one that sleeps', async () => {
    for (const guest of ['spin', 'sleep'] as const) {
      const { outcome, machine } = await run(guest, { timeoutSeconds: 0.3 });
      expect(outcome).toEqual({ kind: 'timeout', seconds: 0.3 });
      expect(machine.summary().seconds).toBeLessThan(2);
    }
  });

  test('gets what was typed before it started, and while it runs', async () => {
    const { outcome, output } = await run(
      'echo',
      {},
      (machine, output) => {
        if (output === 'ab') machine.serialInput(new TextEncoder().encode('q'));
      },
      'ab',
    );
    expect([outcome.kind, output]).toEqual(['exit-port', 'abq']);
  });

  test('that sleeps is woken by input through the I/O APIC and its local APIC', async () => {
    const { outcome, output, machine } = await run('interrupt', {}, (machine, output) => {
      if (output === '.') machine.serialInput(new TextEncoder().encode('x'));
      if (output === '.x') setTimeout(() => machine.serialInput(new TextEncoder().encode('q')), 20);
    });
    expect([outcome.kind, output]).toEqual(['exit-port', '.x']);
    expect(machine.summary().exits.Halt).toBeGreaterThan(0);
  });

  test('that reports its crash through the crash MSRs ends as a crash with its text', async () => {
    const { outcome } = await run('crash');
    expect(outcome).toEqual({ kind: 'crash', text: 'the guest reported a crash:\nit broke' });
  });

  test('that asks for a reset through the reset MSR gets one', async () => {
    expect((await run('resetMsr')).outcome).toEqual({ kind: 'reset' });
  });

  test('is stopped from outside', async () => {
    const { outcome } = await run('interrupt', {}, (machine) => machine.stop());
    expect(outcome).toEqual({ kind: 'stopped' });
  });
});

describe('the trace', () => {
  test('shows the whole life of the partition as hypercalls of the root, and the pool comes back', async () => {
    const { trace, machine } = await run('hello');
    const calls = trace
      .filter(({ kind, partition }) => kind === 'hypercall' && partition === 1)
      .map(({ name }) => name);
    for (const name of [
      'HvCreatePartition',
      'HvInitializePartition',
      'HvSetPartitionProperty',
      'HvDepositMemory',
      'HvCreateVp',
      'HvMapGpaPages',
      'HvInstallIntercept',
      'HvSetVpRegisters',
      'HvTranslateVirtualAddress',
      'HvReadGpa',
      'HvFinalizePartition',
      'HvWithdrawMemory',
      'HvDeletePartition',
    ]) {
      expect(calls).toContain(name);
    }
    expect(trace.filter(({ kind }) => kind === 'intercept').length).toBeGreaterThanOrEqual(2);
    expect(trace.some(({ kind, state }) => kind === 'partition' && state === 'deleted')).toBe(true);
    const { pool, pagesMapped, hypercalls } = machine.summary();
    expect(pagesMapped).toBe(2048);
    expect(pool.deposited).toBeGreaterThan(pool.available);
    expect(hypercalls.HvCreatePartition).toEqual({ HV_STATUS_SUCCESS: 1 });
  });

  test('inspection is plain data, before, during and after', async () => {
    const seen: unknown[] = [];
    const { machine } = await run('interrupt', {}, (machine) => {
      seen.push(machine.inspect());
      machine.stop();
    });
    seen.push(machine.inspect());
    for (const shown of seen) {
      expect(JSON.parse(JSON.stringify(shown))).toEqual(shown);
      expect(JSON.stringify(shown)).toContain('"gpaMap":[{"gpa":0,"pages":2048');
    }
  });
});
