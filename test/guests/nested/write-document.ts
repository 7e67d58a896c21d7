/** `npm run docs:nested`: writes docs/nested-parents.md. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nestedDocument } from './nested-document.ts';
import { runNested } from './nested-machine.ts';

export const DOCUMENT = join(import.meta.dirname, '../../../docs/nested-parents.md');

if (import.meta.main) writeFileSync(DOCUMENT, nestedDocument(runNested()));
