/** A row of the instruction table as it is written; table.ts says how it reads. */
export type RowText = [
  mnemonic: string,
  operands: string,
  opcode: string,
  attributes?: string,
  flags?: string,
];
