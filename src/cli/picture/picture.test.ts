import { describe, expect, test } from 'vitest';
import { pictureOfInspection } from './from-inspection.ts';
import { TraceFollower } from './from-trace.ts';
import { machineHtml } from './machine-html.ts';
import { type MachinePicture, partitionTree } from './machine-picture.ts';
import { machineSvg } from './machine-svg.ts';
import { escaped, printable } from './markup.ts';
import { pictureText } from './picture-text.ts';

const MIB = 256;
const EVIL = '<script>alert(1)</script>"\u001b[2J\u0000&';

const inspection = (over: Record<string, unknown> = {}) => ({
  process: 7,
  kernel: '/somewhere/vmlinuz',
  machine: {
    hypervisor: {
      proximity: [
        { id: 0, firstPage: 0, pages: 40 * MIB },
        { id: 1, firstPage: 40 * MIB, pages: 60 * MIB },
      ],
      partitions: [
        {
          id: 1,
          state: 'active',
          pool: { free: 1, inUse: 2, causes: { partition: 2 } },
          gpaMap: [],
          overlays: [],
        },
        {
          id: 2,
          parent: 1,
          state: 'active',
          pool: {
            free: 3,
            inUse: 5,
            causes: { 'gpa-map': 5 },
            totals: [{ action: 'draw', cause: 'gpa-map', pages: 5 }],
          },
          gpaMap: [
            { gpa: 0, pages: 32 * MIB, spn: 2 * MIB, rights: 'RWX', large: true },
            { gpa: 32 * 2 ** 20, pages: 1, spn: 90 * MIB, rights: 'none', large: false },
          ],
          overlays: [
            { kind: 'hypercall-page', vp: -1, gpa: 0x5000, rights: 'RX' },
            { kind: 'local-apic', vp: 0, gpa: 0xfee0_0000, rights: 'RW' },
          ],
          virtualProcessors: [{ index: 0, state: 'ready' }],
          ...over,
        },
      ],
    },
  },
});

function traced(...events: Record<string, unknown>[]): MachinePicture {
  const follower = new TraceFollower();
  for (const event of events) follower.line(JSON.stringify(event));
  return follower.picture('t');
}

const map = (gpn: number, pages: number, spn: number, rights: string) => {
  return { kind: 'mapping', partition: 2, gpn, pages, spn, rights };
};
const pool = (action: string, cause: string, free: number, inUse: number) => {
  return { kind: 'pool', partition: 2, action, pages: 1, cause, free, inUse };
};

/** Opening and closing tags match, and no stray bracket is left: enough of XML for what is generated here. */
function isWellFormed(xml: string): boolean {
  const open: string[] = [];
  const rest = xml.replace(
    /<(\/?)([a-z:]+)((?:\s+[a-zA-Z-]+="[^"<]*")*)\s*(\/?)>/g,
    (_, end, name, _attributes, single) => {
      if (end !== '') return open.pop() === name ? '' : '<';
      if (single === '') open.push(name);
      return '';
    },
  );
  return open.length === 0 && !/[<>]/.test(rest) && !/&(?!amp;|lt;|gt;|quot;|#39;)/.test(xml);
}

describe('the drawing on the terminal', () => {
  const text = pictureText(pictureOfInspection(inspection()));

  test('shows the tree, the states, the large mappings, overlays and what backs them', () => {
    expect(text).toContain('partition 1 (root): active');
    expect(text).toContain('└─ partition 2: active, VP 0 ready, 32 MiB mapped, pool 5 of 8 pages in use');
    expect(text).toContain('0x00000000  32 MiB RWX in 2 MiB mappings, backed by SPA 0x00200000, node 0');
    expect(text).toContain('0x02000000  4 KiB inaccessible, backed by SPA 0x05a00000, node 1');
    expect(text).toContain('overlay: local-apic of VP 0 RW');
    expect(text).toMatch(/0x00000000 {2}o█{15}/);
    expect(text).toMatch(/gpa-map {6}5 {2}█+/);
  });

  test('a control character of a guest never reaches the terminal', () => {
    const evil = pictureText(
      pictureOfInspection(inspection({ state: EVIL, overlays: [{ kind: EVIL, vp: 0, gpa: 0 }] })),
    );
    expect(printable(evil.replaceAll('\n', ''))).toBe(evil.replaceAll('\n', ''));
  });
});

describe('SVG and HTML', () => {
  test('are well-formed, have titles to hover over and colours for dark and light', () => {
    const svg = machineSvg(pictureOfInspection(inspection()));
    expect(isWellFormed(svg)).toBe(true);
    expect(svg).toContain(
      '<title>0x00000000 to 0x02000000: 32 MiB\nRWX in 2 MiB mappings\nbacked by SPA 0x00200000, node 0</title>',
    );
    expect(svg).toContain('prefers-color-scheme:dark');
    expect(svg).toContain('>node 0<');
    expect(svg).not.toMatch(/href|url\((?!#)|<script/);
  });

  test('nothing that a guest says becomes markup', () => {
    const evil = {
      state: EVIL,
      overlays: [{ kind: EVIL, vp: 0, gpa: 0, rights: EVIL }],
      gpaMap: [{ gpa: 0, pages: 1, spn: 1, rights: EVIL }],
      pool: { free: 1, inUse: 1, causes: { [EVIL]: 1 }, totals: [{ action: EVIL, cause: EVIL, pages: 1 }] },
    };
    const picture = pictureOfInspection({ ...inspection(evil), kernel: EVIL });
    for (const { pool } of picture.partitions)
      pool.history.push({ action: EVIL, cause: EVIL, pages: 1, free: 1, inUse: 1 });
    const svg = machineSvg(picture);
    expect(isWellFormed(svg)).toBe(true);
    for (const text of [svg, machineHtml(picture)])
      expect(['<script', '\u001b', '\u0000'].filter((each) => text.includes(each))).toEqual([]);
  });

  test('numbers that make no sense, and a document of another shape, still give a picture', () => {
    const bad = {
      gpaMap: [{ gpa: 'x', pages: Number.NaN, spn: null, rights: 'toString' }],
      overlays: 3,
      pool: 'none',
    };
    for (const document of [
      inspection(bad),
      {},
      undefined,
      { machine: { hypervisor: { partitions: [5] } } },
    ]) {
      expect(isWellFormed(machineSvg(pictureOfInspection(document)))).toBe(true);
    }
  });

  test('a space of 3 GiB in pieces of every state is drawn in less than 2 MB', () => {
    const gpaMap = Array.from({ length: 1000 }, (_, index) => {
      const rights = ['RWX', 'RW', 'R', 'none'][index % 4];
      return { gpa: index * 3 * 2 ** 20, pages: 3 * MIB, spn: index * 3 * MIB, rights, large: false };
    });
    expect(machineSvg(pictureOfInspection(inspection({ gpaMap }))).length).toBeLessThan(2e6);
  });
});

describe('a trace', () => {
  test('later mappings replace earlier ones, page by page', () => {
    const { runs } = traced(map(0, 1024, 512, 'RWX'), map(100, 2, 4000, 'R'), map(600, 10, -1, 'unmapped'))
      .partitions[0];
    expect(runs.map(({ gpn, pages, spn, rights }) => [gpn, pages, spn, rights])).toEqual([
      [0, 100, 512, 'RWX'],
      [100, 2, 4000, 'R'],
      [102, 498, 614, 'RWX'],
      [610, 414, 1122, 'RWX'],
    ]);
  });

  test('what is 2 MiB aligned on both sides is large, the rest is not', () => {
    const runs = traced(map(256, 1024, 512 + 256, 'RWX')).partitions[0].runs;
    expect(runs.map(({ gpn, pages, large }) => [gpn, pages, large])).toEqual([
      [256, 256, false],
      [512, 512, true],
      [1024, 256, false],
    ]);
    expect(traced(map(0, 1024, 1, 'RWX')).partitions[0].runs[0].large).toBe(false);
  });

  test('the pool is followed; equal movements in a row are one', () => {
    const account = traced(
      ...[pool('deposit', 'deposit', 1, 0), pool('deposit', 'deposit', 2, 0), pool('draw', 'gpa-map', 1, 1)],
      ...[pool('draw', 'vp', 0, 2), pool('release', 'gpa-map', 1, 1)],
    ).partitions[0].pool;
    expect(account.history.map(({ action, cause, pages }) => [action, cause, pages])).toEqual([
      ['deposit', 'deposit', 2],
      ['draw', 'gpa-map', 1],
      ['draw', 'vp', 1],
      ['release', 'gpa-map', 1],
    ]);
    expect([account.free, account.inUse, [...account.causes]]).toEqual([1, 1, [['vp', 1]]]);
  });

  test('a partition that is finalized shows as it was; its account goes on', () => {
    const [partition] = traced(
      ...[map(0, 1, 9, 'RWX'), pool('draw', 'gpa-map', 0, 1)],
      { kind: 'overlay', partition: 2, overlay: 'hypercall-page', vp: -1, gpn: 3, enabled: true },
      { kind: 'partition', partition: 2, parent: 1, state: 'finalizing' },
      { kind: 'overlay', partition: 2, overlay: 'hypercall-page', vp: -1, gpn: 3, enabled: false },
      pool('release', 'gpa-map', 1, 0),
      { kind: 'partition', partition: 2, parent: 1, state: 'deleted' },
    ).partitions;
    expect(partition).toMatchObject({
      state: 'deleted',
      parent: 1,
      overlays: [{ kind: 'hypercall-page', gpn: 3 }],
    });
    expect([...partition.pool.causes]).toEqual([['gpa-map', 1]]);
    expect(partition.pool.history).toHaveLength(2);
  });

  test('a torn line is counted, not fatal', () => {
    const follower = new TraceFollower();
    for (const line of ['{"kind":"mapp', '', 'null', '5', '{"kind":"message"}']) follower.line(line);
    expect(follower.skipped).toBe(3);
    expect(follower.picture('t').partitions).toEqual([]);
  });
});

test('a tree with a loop lists every partition at most once', () => {
  const { partitions } = pictureOfInspection(inspection());
  partitions[0].parent = 2;
  expect(partitionTree(partitions).length).toBeLessThanOrEqual(2);
});

test('characters that XML forbids are replaced', () => {
  expect(escaped('a<b>&"\'\u0001\ud800')).toBe('a&lt;b&gt;&amp;&quot;&#39;\ufffd\ufffd');
});
