import { expect, test } from 'vitest';
import { GPA_UNMAPPED, RIGHTS_SHIFT } from './gpa-map.ts';
import { GPA_EMULATED, type Overlay, OverlayMap, PARTITION_WIDE } from './overlay-map.ts';

function overlay(kind: Overlay['kind'], vp: number, gpn: number, spn: number, isPrivate = false): Overlay {
  return { kind, vp, gpn, spn, rights: 3, isPrivate };
}

test('an overlay is seen until it is moved or removed', () => {
  const map = new OverlayMap(() => {});
  map.place(overlay('message-page', 0, 5, 100));
  expect(map.lookup(5, 1)).toBe(100 | (3 << RIGHTS_SHIFT));
  map.place(overlay('message-page', 0, 6, 100));
  expect(map.lookup(5, 1)).toBe(GPA_UNMAPPED);
  map.remove('message-page', 0);
  expect(map.lookup(6, 1)).toBe(GPA_UNMAPPED);
});

test('among overlays on one page the stacking order decides, and taking the top one away shows the next', () => {
  const map = new OverlayMap(() => {});
  map.place(overlay('message-page', 1, 5, 101));
  map.place(overlay('message-page', 0, 5, 100));
  map.place(overlay('hypercall-page', PARTITION_WIDE, 5, 102));
  expect(map.at(5, 0)?.spn).toBe(102);
  map.remove('hypercall-page', PARTITION_WIDE);
  expect(map.at(5, 0)?.spn).toBe(100);
  map.remove('message-page', 0);
  expect(map.at(5, 0)?.spn).toBe(101);
});

test('a private overlay covers the page for its own processor only', () => {
  const map = new OverlayMap(() => {});
  map.place(overlay('local-apic', 1, 0xfee00, GPA_EMULATED, true));
  expect(map.lookup(0xfee00, 1)).toBe(GPA_EMULATED);
  expect(map.lookup(0xfee00, 0)).toBe(GPA_UNMAPPED);
});

test('every change is announced', () => {
  const changes: string[] = [];
  const map = new OverlayMap((each, enabled) => changes.push(`${each.kind} ${each.gpn} ${enabled}`));
  map.place(overlay('vp-assist', 0, 5, 100));
  map.place(overlay('vp-assist', 0, 6, 100));
  map.removeOwner(0);
  expect(changes).toEqual(['vp-assist 5 true', 'vp-assist 5 false', 'vp-assist 6 true', 'vp-assist 6 false']);
});
