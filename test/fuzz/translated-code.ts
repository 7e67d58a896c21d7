/** The long run of the comparison: `node test/fuzz/translated-code.ts [programs] [seed]`. */
import { CodeComparison } from './code-comparison.ts';

const MOST_DIFFERENCES = 20;
const REPORT_EVERY = 5000;

const programs = Number(process.argv[2] ?? 150_000);
const seed = process.argv[3] ?? 'long';
const comparison = new CodeComparison();
const { result } = comparison;
const started = performance.now();

function report(): void {
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  const vectors = [...result.vectors]
    .sort((a, b) => b[1] - a[1])
    .map(([vector, count]) => `#${vector} ${count}`);
  console.log(
    `${result.programs} programs, ${result.blocks} blocks, ${result.endless} endless, ` +
      `${result.differences.length} differences, ${seconds} s; ${vectors.join(', ')}`,
  );
}

for (let k = 0; k < programs && result.differences.length < MOST_DIFFERENCES; k++) {
  comparison.run(`${seed} ${k}`);
  if (result.programs % REPORT_EVERY === 0) report();
}
report();
for (const difference of result.differences) console.log(difference);
process.exitCode = result.differences.length === 0 ? 0 : 1;
