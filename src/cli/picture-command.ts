/** `partita picture TRACE`: draws what a trace tells. */
import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { ExitStatus } from './exit-status.ts';
import { PICTURE_HELP } from './help.ts';
import { TraceFollower } from './picture/from-trace.ts';
import { givePicture } from './picture-file.ts';
import { firstSentence } from './run-options.ts';
import { UsageError } from './usage-error.ts';

export async function pictureCommand(parameters: readonly string[]): Promise<number> {
  const { values, positionals } = parse(parameters);
  if (values.help) {
    process.stdout.write(PICTURE_HELP);
    return ExitStatus.Success;
  }
  if (positionals.length !== 1)
    throw new UsageError('picture takes one file, as partita run --trace writes it');
  const [path] = positionals;
  const follower = await follow(path);
  const picture = follower.picture(`Trace ${basename(path)}`);
  if (picture.partitions.length === 0) throw new UsageError(`picture ${path}: not a trace of a machine`);
  if (follower.skipped > 0)
    process.stderr.write(`partita: ${follower.skipped} lines of ${path} are damaged\n`);
  givePicture(picture, values);
  return ExitStatus.Success;
}

async function follow(path: string): Promise<TraceFollower> {
  const follower = new TraceFollower();
  try {
    const lines = createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY });
    for await (const line of lines) follower.line(line);
  } catch (error) {
    throw new UsageError(`picture ${path}: ${(error as NodeJS.ErrnoException).code ?? error}`);
  }
  return follower;
}

function parse(parameters: readonly string[]) {
  try {
    return parseArgs({
      args: [...parameters],
      options: {
        svg: { type: 'string' },
        html: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
      allowPositionals: true,
    });
  } catch (error) {
    throw new UsageError(firstSentence(error));
  }
}
