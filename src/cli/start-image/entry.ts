/**
 * What a start image is made of: `partita run`, evaluated, with the interpreter built. build.ts bundles this file and
 * evaluates the bundle twice, once to rehearse and once to keep: what a rehearsal leaves behind in the modules' state is
 * not in the image, but functions are compiled once for both.
 */
import { prepareProcessors } from '../../vm/processors.ts';
import { runCommand } from '../run-command.ts';
import { withExitStatus } from '../with-exit-status.ts';
import { markImage } from './request.ts';

export { rehearse } from './rehearsal.ts';

/** While the image is made. */
export function prepare(): void {
  markImage();
  prepareProcessors();
}

/** When a process starts from it. */
export function start(): void {
  const [, , command, ...parameters] = process.argv;
  if (command !== 'run') throw new Error(`the image runs machines, and was asked to ${command}`);
  void withExitStatus(() => runCommand(parameters));
}
