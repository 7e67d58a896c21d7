/**
 * Prints plain data for a person: nested objects by indentation, lists of flat objects as tables, addresses and page
 * numbers (told by their keys) in hexadecimal.
 */

type Plain = Record<string, unknown>;

export function treeText(value: unknown, indent = ''): string {
  if (Array.isArray(value)) return listText(value, indent);
  if (isRecord(value)) {
    return Object.entries(value)
      .map(([key, each]) => entryText(key, each, indent))
      .join('');
  }
  return `${indent}${scalar(value)}\n`;
}

function entryText(key: string, value: unknown, indent: string): string {
  if (isEmpty(value)) return `${indent}${key}: none\n`;
  if (Array.isArray(value) && value.every((each) => !isRecord(each) && !Array.isArray(each))) {
    return `${indent}${key}: ${value.map((each) => scalar(each)).join(' ')}\n`;
  }
  if (isRecord(value) || Array.isArray(value)) return `${indent}${key}:\n${treeText(value, `${indent}  `)}`;
  return `${indent}${key}: ${scalar(value, key)}\n`;
}

function listText(list: readonly unknown[], indent: string): string {
  if (list.length > 1 && list.every(isFlatRecord)) return tableText(list as Plain[], indent);
  return list
    .map((each) => {
      if (!isRecord(each)) return `${indent}- ${scalar(each)}\n`;
      // The first line carries the dash, the rest lines up behind it.
      return `${indent}- ${treeText(each, `${indent}  `).slice(indent.length + 2)}`;
    })
    .join('');
}

/** Columns in the order in which keys first appear, aligned; numbers to the right. */
export function tableText(rows: readonly Plain[], indent = ''): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const lines = [columns, ...rows.map((row) => columns.map((column) => scalar(row[column], column)))];
  const width = columns.map((_, index) => Math.max(...lines.map((line) => line[index].length)));
  const right = columns.map((column) => rows.every((row) => typeof row[column] === 'number'));
  return lines
    .map((line) => {
      const cells = line.map((text, index) =>
        right[index] ? text.padStart(width[index]) : text.padEnd(width[index]),
      );
      return `${indent}${cells.join('  ').trimEnd()}\n`;
    })
    .join('');
}

function isRecord(value: unknown): value is Plain {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isFlatRecord(value: unknown): value is Plain {
  return isRecord(value) && Object.values(value).every((each) => typeof each !== 'object' || each === null);
}

function isEmpty(value: unknown): boolean {
  return (Array.isArray(value) && value.length === 0) || (isRecord(value) && Object.keys(value).length === 0);
}

const ADDRESS = /^(gpa|gva|spa|gpn|spn|page)$|address$/i;

function scalar(value: unknown, key = ''): string {
  if (value === undefined || value === null) return '-';
  if (typeof value !== 'number') return String(value);
  // A page number below zero stands for none.
  if (ADDRESS.test(key)) return value < 0 ? '-' : `0x${value.toString(16)}`;
  return String(Number.isInteger(value) ? value : Number(value.toFixed(3)));
}
