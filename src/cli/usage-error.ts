/** What the user asked for makes no sense; the message names the option. Ends the command with status 2. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}
