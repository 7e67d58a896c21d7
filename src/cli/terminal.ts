/**
 * The user's terminal as the guest's serial port. States: open (keys go to the guest) and, after Ctrl-], command
 * (the next key is for us). The terminal is put back as it was by `close()`, which also runs when the process
 * exits for any other reason.
 */

/** Ctrl-]: as telnet and virsh console have it; no shell or editor in a guest needs it. */
const ESCAPE = 0x1d;
const MENU = '\r\n[partita: q quit, i information, Ctrl-] send Ctrl-], any other key back to the guest] ';

export interface TerminalActions {
  input(bytes: Uint8Array): void;
  quit(): void;
  /** A few lines about the machine. */
  information(): string;
}

/** Splits what was typed into bytes for the guest and commands; pure, so that tests need no terminal. */
export class EscapeFilter {
  private inCommand = false;
  private readonly actions: TerminalActions;
  private readonly print: (text: string) => void;

  constructor(actions: TerminalActions, print: (text: string) => void) {
    this.actions = actions;
    this.print = print;
  }

  feed(bytes: Uint8Array): void {
    let start = 0;
    for (let at = 0; at < bytes.length; at++) {
      if (this.inCommand) {
        this.inCommand = false;
        start = at + 1;
        this.command(bytes[at]);
      } else if (bytes[at] === ESCAPE) {
        this.pass(bytes.subarray(start, at));
        start = at + 1;
        this.inCommand = true;
        this.print(MENU);
      }
    }
    this.pass(bytes.subarray(start));
  }

  private pass(bytes: Uint8Array): void {
    if (bytes.length > 0) this.actions.input(bytes);
  }

  private command(key: number): void {
    this.print('\r\n');
    if (key === ESCAPE) this.actions.input(Uint8Array.of(ESCAPE));
    else if (key === 0x71 || key === 0x51) this.actions.quit();
    else if (key === 0x69) this.print(this.actions.information().replaceAll('\n', '\r\n'));
  }
}

/** Connects standard input: raw with the escape key on a terminal, as it comes from a pipe or file. */
export function openTerminal(actions: TerminalActions): { close(): void } {
  const stdin = process.stdin;
  const raw = stdin.isTTY === true;
  const filter = new EscapeFilter(actions, (text) => process.stderr.write(text));
  const receive = (bytes: Buffer): void => (raw ? filter.feed(bytes) : actions.input(bytes));
  let open = true;
  const close = (): void => {
    if (!open) return;
    open = false;
    process.off('exit', close);
    stdin.off('data', receive);
    if (raw) stdin.setRawMode(false);
    stdin.pause();
    // A file as standard input has nothing to unref.
    stdin.unref?.();
  };
  // A closed or unreadable standard input is a guest without a keyboard, not a failure.
  stdin.on('error', () => {});
  process.on('exit', close);
  if (raw) stdin.setRawMode(true);
  stdin.on('data', receive);
  return { close };
}
