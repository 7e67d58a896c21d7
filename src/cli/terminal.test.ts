import { beforeEach, expect, test } from 'vitest';
import { EscapeFilter } from './terminal.ts';

let log: string[];
let filter: EscapeFilter;
beforeEach(() => {
  log = [];
  filter = new EscapeFilter(
    {
      input: (bytes) => log.push(`in ${Buffer.from(bytes).toString('latin1')}`),
      quit: () => log.push('quit'),
      information: () => 'a\nb',
    },
    (text) => {
      if (!text.includes('[partita')) log.push(`out ${JSON.stringify(text)}`);
    },
  );
});
const type = (text: string): void => filter.feed(Buffer.from(text, 'latin1'));

test('what is typed goes to the guest, control characters too', () => {
  type('ls\r\x03\x04');
  expect(log).toEqual(['in ls\r\x03\x04']);
});

test('the escape key and q quit; nothing of them reaches the guest', () => {
  type('ab\x1dqcd');
  expect(log).toEqual(['in ab', 'out "\\r\\n"', 'quit', 'in cd']);
});

test('the escape key works across separate reads', () => {
  type('\x1d');
  type('q');
  expect(log).toContain('quit');
});

test('the escape key twice sends one', () => {
  type('\x1d\x1d');
  expect(log).toEqual(['out "\\r\\n"', 'in \x1d']);
});

test('another key goes back to the guest without being sent', () => {
  type('\x1dzx');
  expect(log).toEqual(['out "\\r\\n"', 'in x']);
});

test('information is printed with line ends for a raw terminal', () => {
  type('\x1di');
  expect(log).toEqual(['out "\\r\\n"', 'out "a\\r\\nb"']);
});
