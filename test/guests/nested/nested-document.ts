/**
 * docs/nested-parents.md from a run's trace. What depends on where code lies (RIP, sizes of images) is left out, so
 * that the document changes only when what the partitions do to one another changes.
 */
import { HvStatus, statusName } from '../../../src/hvdef/status.ts';
import type { TraceEvent, TraceFields } from '../../../src/hypervisor/trace.ts';
import type { NestedRun } from './nested-machine.ts';
import { COUNTER_PORT, Id, POOL_PAGES } from './nested-programs.ts';

const NAMES: Readonly<Record<number, string>> = {
  [Id.Root]: 'root',
  [Id.Guest]: 'guest',
  [Id.Child]: 'child',
  [Id.Sibling]: 'sibling',
  [Id.Grandchild]: 'grandchild',
  [Id.GreatGrandchild]: 'great-grandchild',
};
const DEPTHS: Readonly<Record<number, number>> = { 1: 0, 2: 1, 3: 2, 4: 2, 5: 3, 6: 4 };
const PORTS: Readonly<Record<number, string>> = {
  1016: 'serial port',
  244: 'exit port',
  1296: 'counter port',
};
const REGISTERS: Readonly<Record<number, string>> = {
  0: 'ExplicitSuspend',
  1: 'InterceptSuspend',
  131072: 'RAX',
  131088: 'RIP',
};
const WHO_WIDTH = 18;

type Hypercall = Extract<TraceEvent, { kind: 'hypercall' }>;

const nameOf = (id: number | bigint): string => NAMES[Number(id)] ?? `partition ${id}`;
const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
const fieldOf = (fields: TraceFields, ...names: string[]): bigint => {
  for (const name of names) if (name in fields) return BigInt(fields[name] as number | bigint);
  return 0n;
};
/** The partition that a call names; 0 where the call was refused before its parameters were read. */
const targetOf = (call: Hypercall): bigint => {
  const name = Object.keys(call.input).find((each) => each.includes('Partition'));
  return name === undefined ? 0n : fieldOf(call.input, name);
};
const isRefusal = (event: TraceEvent): event is Hypercall =>
  event.kind === 'hypercall' &&
  (event.status === statusName(HvStatus.ACCESS_DENIED) ||
    event.status === statusName(HvStatus.INVALID_PARTITION_ID));

export function nestedDocument(run: NestedRun): string {
  const lines = new Lines();
  for (const event of run.events) lines.add(event);
  return `${INTRODUCTION}\n${lines.finish()}\n${accounts(run)}`;
}

/** Turns events into lines; equal journeys after the first, and runs of refusals, become one line each. */
class Lines {
  readonly #out: string[] = [];
  #refused: { caller: number; target: bigint; status: string; calls: number } | undefined;
  #section = '';
  readonly #journeys = new Map<string, string>();
  /** Where the journey that is being written begins. */
  #journeyStart = -1;

  add(event: TraceEvent): void {
    if (isRefusal(event)) {
      this.#refuse(event);
      return;
    }
    const text = describe(event);
    if (text === undefined) return;
    this.#endRefusals();
    if (event.kind === 'intercept' && event.partition === Id.GreatGrandchild) {
      this.#endJourney();
      this.#heading('What the great-grandchild does, on its way up and down');
      this.#journeyStart = this.#out.length;
    } else this.#headingFor(event);
    this.#out.push(text);
  }

  finish(): string {
    this.#endRefusals();
    this.#endJourney();
    return `${this.#out.join('\n')}\n\`\`\`\n`;
  }

  #refuse(call: Hypercall): void {
    const target = targetOf(call);
    const last = this.#refused;
    if (last?.caller === call.partition && last.target === target && last.status === call.status) {
      last.calls++;
      return;
    }
    this.#endRefusals();
    this.#refused = { caller: call.partition, target, status: call.status, calls: 1 };
  }

  #endRefusals(): void {
    if (this.#refused === undefined) return;
    const { caller, target, status, calls } = this.#refused;
    this.#refused = undefined;
    const what = calls === 1 ? 'a hypercall' : `${calls} different hypercalls`;
    const whom = target === 0n ? 'without the privilege' : `on ${nameOf(target)}`;
    this.#out.push(line(caller, `${what} ${whom}: ${status}`));
  }

  #endJourney(): void {
    if (this.#journeyStart < 0) return;
    const lines = this.#out.slice(this.#journeyStart);
    const shape = lines.join('\n').replaceAll(/0x[0-9a-f]+/g, '#');
    const first = lines[0].trim();
    if (this.#journeys.has(shape) && lines.length > 2) {
      this.#out.splice(
        this.#journeyStart,
        lines.length,
        `… ${first.replace(/^\S+ +/, '')}: the same journey as before`,
      );
    }
    this.#journeys.set(shape, first);
    this.#journeyStart = -1;
  }

  #headingFor(event: TraceEvent): void {
    if (event.kind !== 'hypercall') return;
    if (event.name === 'HvCreatePartition') this.#heading(`The ${nameOf(event.partition)} makes a partition`);
    if (event.name === 'HvFinalizePartition' && event.status === statusName(HvStatus.SUCCESS)) {
      this.#endJourney();
      this.#heading(`The ${nameOf(event.partition)} takes the ${nameOf(targetOf(event))} apart`);
    }
  }

  #heading(title: string): void {
    if (title === this.#section) return;
    if (this.#section !== '') this.#out.push('```');
    this.#section = title;
    this.#out.push('', `## ${title}`, '', '```');
  }
}

function line(who: number, what: string): string {
  return `${'  '.repeat(DEPTHS[who] ?? 0)}${nameOf(who).padEnd(WHO_WIDTH)}${what}`;
}

function describe(event: TraceEvent): string | undefined {
  switch (event.kind) {
    case 'hypercall':
      return line(event.partition, describeCall(event));
    case 'intercept':
      return line(event.partition, describeIntercept(event.type, event.details));
    case 'message':
      return line(event.to, `message in SINT${event.sint}'s slot, from the ${nameOf(event.from)}`);
    case 'synthetic-msr-write':
      return line(event.partition, `writes ${event.name}`);
    default:
      return undefined;
  }
}

function describeIntercept(type: string, details: TraceFields): string {
  const write = fieldOf(details, 'access') === 2n;
  if (type === 'X64IoPortIntercept') {
    const port = Number(fieldOf(details, 'port'));
    const value = write ? ` ${hex(fieldOf(details, 'rax') & 0xffn)}` : '';
    return `${write ? 'OUT' : 'IN'} ${PORTS[port] ?? hex(port)}${value}: intercepted`;
  }
  return `${write ? 'store to' : 'load from'} GPA ${hex(fieldOf(details, 'gpa'))}: ${type}`;
}

function describeCall(call: Hypercall): string {
  const result = call.status === statusName(HvStatus.SUCCESS) ? '' : `: ${call.status}`;
  return `${call.name} ${parameters(call)}${result}`;
}

function parameters(call: Hypercall): string {
  if (call.name === 'HvCreatePartition')
    return `→ ${nameOf(fieldOf(call.output, 'PartitionId', 'NewPartitionId'))}`;
  const target = nameOf(targetOf(call));
  switch (call.name) {
    case 'HvDepositMemory':
    case 'HvWithdrawMemory':
      return `${target}, ${call.repsCompleted} pages`;
    case 'HvMapGpaPages': {
      const [from, to] = [fieldOf(call.inputElements[0] ?? {}, 'SourceGpaPage', 'GpaPage'), gpaOf(call)];
      const rights = fieldOf(call.input, 'MapFlags') === 7n ? 'RWX' : 'no rights';
      const image = to === 0x100n;
      // Where the root's own pages lie is its allocator's business.
      const source = call.partition === Id.Root ? '' : ` from GPN ${hex(from)}`;
      const where = image ? 'its image' : `${call.repsCompleted} pages${source}`;
      if (target === nameOf(Id.Root)) return `root, on ${call.repsCompleted} pages of its own, ${rights}`;
      return `${target}, ${call.repsCompleted === 1 ? 'a page' : where} at GPN ${hex(to)}, ${rights}`;
    }
    case 'HvInstallIntercept': {
      const port = Number(fieldOf(call.input, 'InterceptParameter'));
      return `${target}, ${PORTS[port] ?? hex(port)}`;
    }
    case 'HvSetPartitionProperty':
      return `${target}, privileges ${hex(fieldOf(call.input, 'PropertyValue'))}`;
    case 'HvSetVpRegisters':
      return `${target}, ${registers(call)}`;
    default:
      return target;
  }
}

const gpaOf = (call: Hypercall): bigint => fieldOf(call.input, 'TargetGpaBase');

/** Names and values; of a whole boot state only how many. RIP is left out. */
function registers(call: Hypercall): string {
  if (call.inputElements.length > 4) return 'the registers of long mode';
  const shown = call.inputElements.map((element) => {
    const name = Number(fieldOf(element, 'RegisterName', 'Name'));
    if (name === 0x2_0010) return 'RIP behind the instruction';
    return `${REGISTERS[name] ?? hex(name)} = ${hex(fieldOf(element, 'Low'))}`;
  });
  return shown.join(', ');
}

/** Each pool's account, from the pool events. */
function accounts(run: NestedRun): string {
  const rows: string[] = [];
  for (const id of Object.keys(NAMES).map(Number)) {
    if (id === Id.Root) continue;
    const events = run.events.filter((event) => event.kind === 'pool' && event.partition === id);
    const count = (action: string) =>
      events.reduce(
        (sum, event) => sum + (event.kind === 'pool' && event.action === action ? event.pages : 0),
        0,
      );
    const numbers = ['deposit', 'draw', 'release', 'withdraw'].map(count);
    rows.push(`| ${nameOf(id)} | ${numbers.join(' | ')} |`);
  }
  return [
    '## The pools',
    '',
    'Pages of each pool. Only the guest is left at the end; all others were taken apart and every page went back.',
    '',
    '| pool of | deposited | drawn | released | withdrawn |',
    '|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

const INTRODUCTION = `# Nested parents: a trace

Written by \`npm run docs:nested\` from a run of the guests in \`test/guests/nested\`; a test keeps it current.

\`\`\`
root ─▶ guest ─▶ child ─▶ grandchild ─▶ great-grandchild
          └────▶ sibling
\`\`\`

Only the root is TypeScript. Every other line below was done by guest code through its own hypercall page, message
page and interrupts. A parent completes its child's access by making the same access itself, so that it travels up
to the root: OUT carries the byte, IN from the ${hex(COUNTER_PORT)} counter port and a load from unmapped memory come back one
larger at each level, a store to unmapped memory is given a page of the parent's.

A pool takes only pages that nobody but the depositor can access (TLFS 2.0a §7.3.1). So the root gave up its rights
to three runs of ${POOL_PAGES} pages and more, and gave the guest two of them with no rights at all: a parent may map a page
further down without having access to it (§8.1.1).

Indentation is depth. Page draws, and calls that take no part in this, are left out.
`;
