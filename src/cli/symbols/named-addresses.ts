/** Puts names beside code addresses in what is shown: trace records, inspections, messages. */
import type { SymbolTable } from './symbol-table.ts';

/** Deeper than anything we show. */
const DEEPEST = 12;

/** A copy of `value` where every object with a `rip` has the name of that address as `symbol`, if it has one. */
export function withSymbols(value: unknown, symbols: SymbolTable, depth = 0): unknown {
  if (typeof value !== 'object' || value === null || depth > DEEPEST || value instanceof Uint8Array)
    return value;
  if (Array.isArray(value)) return value.map((each) => withSymbols(each, symbols, depth + 1));
  const named: Record<string, unknown> = {};
  for (const [key, each] of Object.entries(value)) {
    named[key] = withSymbols(each, symbols, depth + 1);
    const address = key === 'rip' ? addressOf(each) : undefined;
    const symbol = address === undefined ? undefined : symbols.nameOf(address);
    if (symbol !== undefined) named.symbol = symbol;
  }
  return named;
}

function addressOf(value: unknown): bigint | undefined {
  if (typeof value === 'bigint') return value;
  return typeof value === 'string' && /^0x[0-9a-f]{1,16}$/.test(value) ? BigInt(value) : undefined;
}

/** `RIP 0x...` in a sentence gets the name behind it. */
export function nameInText(text: string, symbols: SymbolTable): string {
  return text.replace(/\bRIP 0x([0-9a-f]{1,16})/g, (found, digits: string) => {
    const symbol = symbols.nameOf(BigInt(`0x${digits}`));
    return symbol === undefined ? found : `${found} ${symbol}`;
  });
}
