/** gdb's `monitor` commands: what the protocol has no packets for. */
import type { DebugTarget } from './debug-target.ts';
import { hexNumber } from './hex-text.ts';
import { registerIndex } from './register-table.ts';

const HELP = `monitor help              this list
monitor info              the virtual processors
monitor translate ADDRESS guest physical address of a virtual one
monitor reset             ends the machine as its own reset does
`;

/** What the command prints. `vp` is the thread that the debugger looks at. */
export function monitorCommand(line: string, target: DebugTarget, vp: number): string {
  const [name = '', argument = '', ...rest] = line.trim().split(/\s+/);
  if (rest.length > 0) return `too many words; monitor help lists the commands\n`;
  switch (name) {
    case '':
    case 'help':
      return HELP;
    case 'info':
      return Array.from({ length: target.vpCount }, (_, index) => processorLine(target, index)).join('');
    case 'translate': {
      const address = hexNumber(argument.replace(/^0x/i, ''));
      if (address === undefined) return 'monitor translate ADDRESS: a hexadecimal number is wanted\n';
      const gpa = target.translate(vp, address);
      return gpa === undefined
        ? 'nothing is mapped there\n'
        : `guest physical address 0x${gpa.toString(16)}\n`;
    }
    case 'reset':
      target.reset();
      return 'the machine ends with a reset\n';
  }
  return `there is no command '${name.slice(0, 40)}'; monitor help lists them\n`;
}

function processorLine(target: DebugTarget, vp: number): string {
  const values = target.readRegisters(vp);
  const shown = ['rip', 'rsp', 'eflags', 'cs', 'cr0', 'cr3', 'cr4', 'efer'].map(
    (name) => `${name} 0x${values[registerIndex(name)].toString(16)}`,
  );
  return `virtual processor ${vp} (thread ${vp + 1}): ${shown.join(', ')}\n`;
}
