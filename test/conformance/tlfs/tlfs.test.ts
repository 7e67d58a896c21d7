/** The conformance suite as tests: a claim each. Everything on the interpreter, a sample on the static stage. */
import { describe, expect, test } from 'vitest';
import { STATUS_ROWS } from '../../../src/hvdef/hypercall-status.ts';
import { HypercallCode } from '../../../src/hvdef/hypercalls.ts';
import { SyntheticMsr } from '../../../src/hvdef/msr.ts';
import { StatsGroup } from '../../../src/hvdef/statistics.ts';
import { HvStatus, statusName } from '../../../src/hvdef/status.ts';
import { hypercallTable } from '../../../src/hypervisor/hypercall-table.ts';
import { OrderKind } from './feeder.ts';
import { INTERFACE_CLAIMS, tryInterface } from './interface.ts';
import { MESSAGE_CLAIMS } from './messages.ts';
import { REGISTER_CLAIMS, tryRegister } from './registers.ts';
import { Scene } from './scene.ts';
import { IMPOSSIBLE_ROWS, ROW_CLAIMS, sectionOf, tryMessage, tryRow } from './suite.ts';

const implemented = new Set(hypercallTable.map(({ code }) => code));
/** Calls that the hypervisor has; the others have claims that wait for them. */
const calls = [...new Set(ROW_CLAIMS.map(({ call }) => call))].filter((call) =>
  implemented.has(HypercallCode[call]),
);

describe.each(calls)('Hv%s', (call) => {
  const claims = ROW_CLAIMS.filter((claim) => claim.call === call);
  let scene: Scene | undefined;
  test.each(claims.map((claim) => [statusName(HvStatus[claim.status]), claim.claim, claim] as const))(
    'answers %s if %s',
    (_, __, claim) => {
      scene ??= new Scene();
      expect(tryRow(scene, claim), `§${sectionOf(call)}`).toBeUndefined();
    },
  );
});

describe('the hypercall interface', () => {
  let scene: Scene | undefined;
  test.each(INTERFACE_CLAIMS.map((claim) => [claim.section, claim.claim, claim] as const))(
    '§%s %s',
    (_, __, claim) => {
      scene ??= new Scene();
      expect(tryInterface(scene, claim)).toBeUndefined();
    },
  );
});

describe('a guest parent receives, byte for byte', () => {
  let scene: Scene | undefined;
  test.each(MESSAGE_CLAIMS.map((claim) => [claim.message, claim.claim, claim] as const))(
    '%s after %s',
    (_, __, claim) => {
      scene ??= new Scene();
      expect(tryMessage(scene, claim)).toBeUndefined();
    },
  );
});

test("a guest parent sets every register of a child's processor and reads it back", () => {
  const scene = new Scene();
  const child = scene.childWithVp();
  const failures = REGISTER_CLAIMS.map((claim) => [claim.name, tryRegister(scene, child, claim)]);
  expect(failures.filter(([, failure]) => failure !== undefined)).toEqual([]);
});

test('every row of the return-value tables is claimed, or listed with the reason why it cannot occur', () => {
  const known = new Set([...ROW_CLAIMS, ...IMPOSSIBLE_ROWS].map(({ call, status }) => `${call}: ${status}`));
  const rows = STATUS_ROWS.filter(({ call }) => implemented.has(HypercallCode[call])).map(
    ({ call, status }) => `${call}: ${status}`,
  );
  expect(rows.filter((row) => !known.has(row))).toEqual([]);
});

describe('statistics registers (§21.3.3)', () => {
  const PAGE_MSRS = [0, 1, 2, 3].map((index) => SyntheticMsr.StatsPartitionRetail + index);
  test('a guest reads its own statistics at the pages that it chose, and what lies beneath once they are off', () => {
    const { parent } = new Scene();
    for (const msr of PAGE_MSRS) {
      const page = parent.takeOpen(1) * 4096;
      parent.order(OrderKind.Store, page, 0xabcdn);
      expect(parent.writeMsr(msr, BigInt(page) | 1n)).toBe(true);
      parent.order(OrderKind.Load, page);
      expect(Number(parent.result & 0xffffn)).toBe(StatsGroup.Architected);
      expect(parent.writeMsr(msr, BigInt(page))).toBe(true);
      parent.order(OrderKind.Load, page);
      expect(parent.result).toBe(0xabcdn);
    }
  });
  test('without AccessStatsMsr they are a #GP', () => {
    const { powerless } = new Scene();
    for (const msr of PAGE_MSRS) {
      expect(powerless.writeMsr(msr, 0x1001n)).toBe(false);
      expect(powerless.exception).toBe(13);
    }
  });
});

describe('on the static stage too', () => {
  test.each(['CreatePartition', 'MapGpaPages', 'SetVpRegisters', 'PostMessage'] as const)('Hv%s', (call) => {
    const scene = new Scene({ staticBlockLength: 16 });
    for (const claim of ROW_CLAIMS.filter((each) => each.call === call)) {
      expect(tryRow(scene, claim), claim.claim).toBeUndefined();
    }
  });
  test('messages', () => {
    const scene = new Scene({ staticBlockLength: 16 });
    for (const claim of MESSAGE_CLAIMS) expect(tryMessage(scene, claim), claim.message).toBeUndefined();
  });
});
