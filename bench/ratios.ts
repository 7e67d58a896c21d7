/** What the tables are made of: medians over runs, geometric means of ratios, columns of text. */

/** Of the values that are there; undefined where none is. */
export function median(values: readonly (number | undefined)[]): number | undefined {
  const numbers = values.filter((value) => value !== undefined).sort((a, b) => a - b);
  if (numbers.length === 0) return undefined;
  const middle = numbers.length >> 1;
  return numbers.length % 2 === 1 ? numbers[middle] : (numbers[middle - 1]! + numbers[middle]!) / 2;
}

/** Undefined where there is nothing, or something that is not above zero. */
export function geometricMean(values: readonly number[]): number | undefined {
  if (values.length === 0 || values.some((value) => !(value > 0))) return undefined;
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** Prints lines of cells: the first column to the left, the others to the right. */
export function printColumns(lines: readonly (readonly string[])[]): void {
  const count = Math.max(...lines.map((line) => line.length));
  const widths = Array.from({ length: count }, (_, column) =>
    Math.max(...lines.map((line) => (line[column] ?? '').length)),
  );
  for (const line of lines) {
    const cells = line.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!),
    );
    console.log(cells.join('  ').trimEnd());
  }
}
