import { describe, expect, test } from 'vitest';
import { HYPERCALLS, HypercallCode, hypercallDefinition } from './hypercalls.ts';
import { HvStatus, statusName } from './status.ts';

describe('the hypercall table', () => {
  test('has the 56 hypercalls of TLFS 2.0a', () => {
    expect(HYPERCALLS.filter((definition) => definition.source !== 'current')).toHaveLength(56);
  });

  test('has each call code once', () => {
    expect(new Set(HYPERCALLS.map((definition) => definition.code)).size).toBe(HYPERCALLS.length);
  });

  test('aligns every field to its own size', () => {
    for (const definition of HYPERCALLS) {
      for (const layout of [
        definition.input,
        definition.inputElement,
        definition.output,
        definition.outputElement,
      ]) {
        for (const field of layout.fields) {
          if (field.type === 'bytes') continue;
          expect(field.offset % field.size, `${definition.name}.${field.name}`).toBe(0);
        }
      }
    }
  });

  test('lets a call use the plain register convention only if its input fits two registers and nothing comes back', () => {
    for (const definition of HYPERCALLS.filter((each) => each.fast && !each.extendedFast)) {
      expect(definition.input.size, definition.name).toBeLessThanOrEqual(16);
      expect(definition.output.size, definition.name).toBe(0);
    }
  });

  test('gives HvMapGpaPages the layout of section 8.3.1', () => {
    const definition = hypercallDefinition(HypercallCode.MapGpaPages)!;
    expect(definition.name).toBe('HvMapGpaPages');
    expect(definition.rep).toBe(true);
    expect(definition.input.fields.map(({ name, offset }) => [name, offset])).toEqual([
      ['TargetPartitionId', 0],
      ['TargetGpaBase', 8],
      ['MapFlags', 16],
    ]);
    expect(definition.inputElement.size).toBe(8);
  });
});

test('a status code is shown by its TLFS name, or as a number where it has none', () => {
  expect(statusName(HvStatus.INSUFFICIENT_MEMORY)).toBe('HV_STATUS_INSUFFICIENT_MEMORY');
  expect(statusName(0x7777)).toBe('0x7777');
});
