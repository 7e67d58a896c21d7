import { describe, expect, test } from 'vitest';
import { type CodeBlock, CodePage, type RegionHandle } from './code-page.ts';
import { Handler, RECORD_DISPLACEMENT, RECORD_HANDLER, RECORD_PAGE_OFFSET, RECORD_SIZE } from './record.ts';

const MODE = 2;
const RECORDS = 0x1000;

/** A page with one block of four-byte instructions at offsets 0x100 to 0x120, and memory for its records. */
function scene() {
  const view = new DataView(new ArrayBuffer(0x4000));
  for (let k = 0; k <= 8; k++) {
    const record = RECORDS + k * RECORD_SIZE;
    view.setUint16(record + RECORD_HANDLER, Handler.First, true);
    view.setUint16(record + RECORD_PAGE_OFFSET, 0x100 + 4 * k, true);
  }
  const page = new CodePage();
  const base = block(RECORDS, 9, 0x100, 0x120);
  page.add(base);
  page.begins(0x100, MODE, RECORDS);
  return { view, page, base };
}

const block = (
  record: number,
  count: number,
  from: number,
  to: number,
  region?: RegionHandle,
): CodeBlock => ({
  slot: 0,
  mode: MODE,
  record,
  count,
  region,
  spans: [{ from, to }],
});

describe('a page of decoded code', () => {
  test('finds the record of an instruction in the middle of a block, and none between instructions', () => {
    const { view, page } = scene();
    expect(page.recordAt(view, 0x108, MODE)).toEqual({
      record: RECORDS + 2 * RECORD_SIZE,
      count: 7,
      to: 0x120,
    });
    expect(page.recordAt(view, 0x109, MODE)).toBeUndefined();
    expect(page.recordAt(view, 0x108, MODE + 1)).toBeUndefined();
  });

  test('drops with a block what begins in its middle, though that lies behind the bytes written', () => {
    const { view, page, base } = scene();
    const alias = block(RECORDS + 4 * RECORD_SIZE, 5, 0x110, 0x120);
    page.add(alias);
    expect(page.drop(view, 0x104, 0x105)).toEqual([base, alias]);
    expect(page.isEmpty).toBe(true);
  });

  test('keeps a block when the region that begins with it is dropped for code elsewhere', () => {
    const { view, page, base } = scene();
    const region = {
      ...block(RECORDS, 1, 0x100, 0x104, { tableSlot: 7, dropped: false }),
      spans: [{ from: 0x300, to: 0x310 }],
    };
    page.add(region);
    expect(page.drop(view, 0x308, 0x309)).toEqual([region]);
    expect(page.drop(view, 0x100, 0x101)).toEqual([base]);
  });

  test('undoes links to what it drops', () => {
    const { view, page } = scene();
    view.setUint32(RECORDS + RECORD_DISPLACEMENT, 0x1234, true);
    page.branches.push(RECORDS);
    page.drop(view, 0x104, 0x105);
    expect(view.getUint32(RECORDS + RECORD_DISPLACEMENT, true)).toBe(0);
  });

  test('says of bytes that nothing came from that no code is touched', () => {
    const { page } = scene();
    expect(page.touches(0x200, 0x300)).toBe(false);
    expect(page.touches(0xf0, 0x101)).toBe(true);
  });
});
