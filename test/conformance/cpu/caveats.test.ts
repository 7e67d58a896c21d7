import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { uncoveredForms } from './uncovered-forms.ts';

test('docs/CAVEATS.md names every form that no native vector shows', () => {
  const caveats = readFileSync(join(import.meta.dirname, '../../../docs/CAVEATS.md'), 'utf8');
  const listed = /<!-- forms without vectors -->\n([\s\S]*?)\n<!-- end -->/.exec(caveats)?.[1] ?? '';
  expect(listed.split(/,\s+/)).toEqual(uncoveredForms());
});
