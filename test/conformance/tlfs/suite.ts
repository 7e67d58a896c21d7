/** Runs all claims, and says what of the hypervisor's tables they cover. */
import { STATUS_ROWS } from '../../../src/hvdef/hypercall-status.ts';
import { HYPERCALLS, HypercallCode } from '../../../src/hvdef/hypercalls.ts';
import { MessageType } from '../../../src/hvdef/messages.ts';
import { HvStatus, statusName } from '../../../src/hvdef/status.ts';
import type { ImpossibleRow, RowClaim } from './claims.ts';
import { INTERFACE_CLAIMS, tryInterface } from './interface.ts';
import { IMPOSSIBLE_MESSAGES, MESSAGE_CLAIMS, type MessageClaim } from './messages.ts';
import { IMPOSSIBLE_REGISTERS, REGISTER_CLAIMS, REGISTER_TOTAL, tryRegister } from './registers.ts';
import { communicationRows, impossibleCommunicationRows } from './rows/communication.ts';
import { eventLogRows, impossibleEventLogRows } from './rows/event-log.ts';
import { impossibleMemoryRows, memoryRows } from './rows/memory.ts';
import { impossiblePartitionRows, partitionRows } from './rows/partitions.ts';
import { impossiblePlatformRows, platformRows } from './rows/platform.ts';
import { impossibleProcessorRows, processorRows } from './rows/processors.ts';
import { impossibleSavedStateRows, savedStateRows } from './rows/saved-state.ts';
import { Scene, type SceneOptions } from './scene.ts';

const byCall = (a: RowClaim, b: RowClaim): number => HypercallCode[a.call] - HypercallCode[b.call];

export const ROW_CLAIMS: readonly RowClaim[] = [
  ...partitionRows,
  ...memoryRows,
  ...processorRows,
  ...communicationRows,
  ...savedStateRows,
  ...eventLogRows,
  ...platformRows,
].toSorted(byCall);
export const IMPOSSIBLE_ROWS: readonly ImpossibleRow[] = [
  ...impossiblePartitionRows,
  ...impossibleMemoryRows,
  ...impossibleProcessorRows,
  ...impossibleCommunicationRows,
  ...impossibleSavedStateRows,
  ...impossibleEventLogRows,
  ...impossiblePlatformRows,
];

/** A claim and what was found; `failure` is undefined when the claim holds. */
export interface Outcome {
  readonly section: string;
  readonly name: string;
  readonly failure: string | undefined;
}
export interface RowOutcome extends Outcome {
  readonly claim: RowClaim;
}

/** The section of TLFS 2.0a that a call is in, without the sign. */
export function sectionOf(call: RowClaim['call']): string {
  return HYPERCALLS.find(({ code }) => code === HypercallCode[call])!.source.slice(1);
}

/** Tries a claim; what guest code saw goes into the scene's `observed`. */
export function tryRow(scene: Scene, claim: RowClaim): string | undefined {
  const wanted = HvStatus[claim.status];
  try {
    const { status } = claim.show(scene);
    if (status !== wanted) return `answered ${statusName(status)}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const seen = scene.observed.has(`${HypercallCode[claim.call]}:${wanted}`);
  return seen ? undefined : 'no guest code was answered so';
}

/** Tries the claims about one call after another, each call's on a machine of its own. */
export function tryRows(
  claims: readonly RowClaim[],
  reached: Set<number>,
  options: SceneOptions = {},
): RowOutcome[] {
  const outcomes: RowOutcome[] = [];
  let scene: Scene | undefined;
  let call = '';
  for (const claim of claims) {
    if (scene === undefined || claim.call !== call) scene = new Scene(options);
    call = claim.call;
    const name = `Hv${call}: ${statusName(HvStatus[claim.status])} if ${claim.claim}`;
    outcomes.push({ section: sectionOf(claim.call), name, claim, failure: tryRow(scene, claim) });
    for (const each of scene.reached) reached.add(each);
  }
  return outcomes;
}

const HEADER = 16;

export function tryMessage(scene: Scene, { show }: MessageClaim): string | undefined {
  try {
    const { received, expected } = show(scene);
    // What lies in the slot behind the payload is the receiver's own.
    const end = HEADER + expected[4]!;
    const at = expected.subarray(0, end).findIndex((byte, index) => received[index] !== byte);
    if (at < 0) return undefined;
    return `byte ${at} is 0x${received[at]!.toString(16)} instead of 0x${expected[at]!.toString(16)}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

export interface Coverage {
  readonly hypercalls: { implemented: number; total: number };
  readonly statusRows: { covered: number; total: number };
  readonly messages: { covered: number; total: number };
  readonly registers: { covered: number; total: number };
}
export interface SuiteResult {
  readonly coverage: Coverage;
  readonly rows: readonly RowOutcome[];
  /** Chapter 4. */
  readonly interface: readonly Outcome[];
  readonly messages: readonly Outcome[];
  readonly registers: readonly Outcome[];
  /** Rows of the tables that nothing is claimed about, or whose claims fail. */
  readonly uncovered: readonly { call: RowClaim['call']; status: RowClaim['status'] }[];
}

/** Every outcome of a run. */
export function outcomesOf({ rows, interface: ofInterface, messages, registers }: SuiteResult): Outcome[] {
  return [...ofInterface, ...rows, ...messages, ...registers];
}

const key = ({ call, status }: Pick<RowClaim, 'call' | 'status'>): string => `${call}:${status}`;

export function runSuite(options: SceneOptions = {}): SuiteResult {
  const reached = new Set<number>();
  const rows = tryRows(ROW_CLAIMS, reached, options);
  const interfaceScene = new Scene(options);
  const ofInterface = INTERFACE_CLAIMS.map((claim) => {
    return { section: claim.section, name: claim.claim, failure: tryInterface(interfaceScene, claim) };
  });
  for (const code of interfaceScene.reached) reached.add(code);
  const messageScene = new Scene(options);
  const messages = MESSAGE_CLAIMS.map((claim) => {
    return {
      section: '16',
      name: `${claim.message}: ${claim.claim}`,
      failure: tryMessage(messageScene, claim),
    };
  });
  const registerScene = new Scene(options);
  const child = registerScene.childWithVp();
  const registers = REGISTER_CLAIMS.map((claim) => {
    return { section: '10.2', name: claim.name, failure: tryRegister(registerScene, child, claim) };
  });

  const covered = new Set(rows.filter(({ failure }) => failure === undefined).map(({ claim }) => key(claim)));
  const impossible = new Set(IMPOSSIBLE_ROWS.map(key));
  const holding = (outcomes: readonly Outcome[]) =>
    outcomes.filter(({ failure }) => failure === undefined).length;
  const ofEdition = HYPERCALLS.filter(({ source }) => source !== 'current');
  return {
    coverage: {
      hypercalls: {
        // Guest code called it and was not told that there is no such call.
        implemented: ofEdition.filter(({ code }) => reached.has(code)).length,
        total: ofEdition.length,
      },
      statusRows: {
        covered: STATUS_ROWS.filter((row) => covered.has(key(row))).length,
        total: STATUS_ROWS.length,
      },
      messages: { covered: holding(messages), total: Object.keys(MessageType).length - 1 },
      registers: { covered: holding(registers), total: REGISTER_TOTAL },
    },
    rows,
    interface: ofInterface,
    messages,
    registers,
    uncovered: STATUS_ROWS.filter((row) => !covered.has(key(row)) && !impossible.has(key(row))),
  };
}

/** What the tables have and this machine can't do: with the reason. */
export const IMPOSSIBLE: readonly { name: string; reason: string }[] = [
  ...IMPOSSIBLE_ROWS.map(({ call, status, reason }) => ({
    name: `Hv${call}: ${statusName(HvStatus[status])}`,
    reason,
  })),
  ...IMPOSSIBLE_MESSAGES.map(({ message, reason }) => ({ name: `message ${message}`, reason })),
  ...[...Map.groupBy(IMPOSSIBLE_REGISTERS, ({ reason }) => reason)].map(([reason, names]) => ({
    name: `registers ${names.map(({ name }) => name).join(' ')}`,
    reason,
  })),
];
