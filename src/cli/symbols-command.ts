/** `partita symbols`: makes a file for gdb's symbol-file out of a list of symbols. */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ExitStatus } from './exit-status.ts';
import { SYMBOLS_HELP } from './help.ts';
import { readNamed } from './run-command.ts';
import { firstSentence } from './run-options.ts';
import { readSymbols } from './symbols/read-symbols.ts';
import { symbolElf } from './symbols/symbol-elf.ts';
import { UsageError } from './usage-error.ts';

export async function symbolsCommand(parameters: readonly string[]): Promise<number> {
  const { values, positionals } = parse(parameters);
  if (values.help) {
    process.stdout.write(SYMBOLS_HELP);
    return ExitStatus.Success;
  }
  const [path] = positionals;
  if (positionals.length !== 1 || values.output === undefined)
    throw new UsageError('symbols takes a file, and -o FILE to write to');
  const symbols = readSymbols(readNamed('symbols', path));
  try {
    writeFileSync(values.output, symbolElf(symbols));
  } catch (error) {
    throw new UsageError(`-o ${values.output}: ${(error as NodeJS.ErrnoException).code ?? error}`);
  }
  process.stderr.write(`partita: ${symbols.length} symbols; in gdb: symbol-file ${values.output}\n`);
  return ExitStatus.Success;
}

function parse(parameters: readonly string[]) {
  try {
    return parseArgs({
      args: [...parameters],
      options: {
        output: { type: 'string', short: 'o' },
        help: { type: 'boolean', short: 'h', default: false },
      },
      strict: true,
      allowPositionals: true,
    });
  } catch (error) {
    throw new UsageError(firstSentence(error));
  }
}
