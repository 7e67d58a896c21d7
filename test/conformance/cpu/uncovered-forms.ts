/** Forms that the processor executes but no native vector shows, by mnemonic: what docs/CAVEATS.md lists. */
import { allForms } from '../../../src/cpu/instructions/forms.ts';
import { semantics } from '../../../src/cpu/semantics/index.ts';
import { coveredForms } from './coverage.ts';

/** `mnemonic (forms without vectors of forms)`, sorted; all forms of a mnemonic where no numbers stand. */
export function uncoveredForms(): string[] {
  const covered = new Set([...coveredForms(64), ...coveredForms(32)].map(({ form }) => form.key));
  const counts = new Map<string, { missing: number; total: number }>();
  for (const { key, mnemonic } of allForms()) {
    if (!semantics[mnemonic]) continue;
    const count = counts.get(mnemonic) ?? { missing: 0, total: 0 };
    count.total++;
    if (!covered.has(key)) count.missing++;
    counts.set(mnemonic, count);
  }
  return [...counts]
    .filter(([, { missing }]) => missing > 0)
    .map(([name, { missing, total }]) => (missing === total ? name : `${name} (${missing} of ${total})`))
    .sort();
}
