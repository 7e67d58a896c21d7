/**
 * Builds one WebAssembly function: statements are written at once, structured control flow by nested
 * callbacks, labels by reference. Locals are reused after `scope` ends.
 */
import { ByteWriter } from './byte-writer.ts';
import { localGet, type Store, stores, TYPE_CODE, type Value, type ValueType } from './values.ts';

export interface FunctionType {
  readonly params: readonly ValueType[];
  readonly results: readonly ValueType[];
}
/** A function that can be called, imported or defined. */
export interface FunctionRef {
  readonly index: number;
  readonly name: string;
  readonly type: FunctionType;
}
export interface Label {
  readonly depth: number;
}
/** A variable: read with `.get`, written with `FunctionBuilder.set`. */
export interface Local {
  readonly type: ValueType;
  readonly index: number;
  readonly get: Value;
}
export type Hint = 'likely' | 'unlikely';

export class FunctionBuilder {
  readonly params: readonly Local[];
  private code = new ByteWriter();
  private opening: ByteWriter | undefined;
  private readonly localTypes: ValueType[] = [];
  /** By index, for the name section. */
  readonly localNames = new Map<number, string>();
  private readonly free: Record<ValueType, number[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] };
  private scopeLocals: number[] = [];
  private depth = 0;
  private readonly hints: { offset: number; taken: boolean }[] = [];
  readonly type: FunctionType;

  constructor(type: FunctionType) {
    this.type = type;
    this.params = type.params.map((t, index) => ({ type: t, index, get: localGet(t, index) }));
  }

  // Values

  emit(value: Value): void {
    const { code } = this;
    switch (value.kind) {
      case 'const':
        this.emitConst(value.type, value.value);
        return;
      case 'local':
        code.u8(0x20);
        code.unsigned(value.index);
        return;
      case 'global':
        code.u8(0x23);
        code.unsigned(value.index);
        return;
      case 'op':
        for (const operand of value.operands) this.emit(operand);
        for (const byte of value.code) code.u8(byte);
        return;
      case 'load':
        this.emit(value.address);
        for (const byte of value.code) code.u8(byte);
        code.unsigned(value.offset);
        return;
      case 'call':
        for (const operand of value.operands) this.emit(operand);
        code.u8(0x10);
        code.unsigned(value.index);
        return;
    }
  }

  private emitConst(type: ValueType, value: bigint | number): void {
    const { code } = this;
    if (type === 'i32') {
      code.u8(0x41);
      code.signed32(Number(value));
    } else if (type === 'i64') {
      code.u8(0x42);
      code.signed64(BigInt(value));
    } else if (type === 'f64') {
      code.u8(0x44);
      code.bytes(new Uint8Array(new Float64Array([Number(value)]).buffer));
    } else {
      code.u8(0x43);
      code.bytes(new Uint8Array(new Float32Array([Number(value)]).buffer));
    }
  }

  call(fn: FunctionRef, ...operands: Value[]): Value {
    return { type: fn.type.results[0] ?? 'i32', kind: 'call', index: fn.index, operands };
  }

  /** A call through table 0; `signature` is the type's index in the module. */
  callIndirect(signature: number, result: ValueType, target: Value, ...operands: Value[]): Value {
    const code = new ByteWriter();
    code.u8(0x11);
    code.unsigned(signature);
    code.u8(0);
    return { type: result, kind: 'op', code: Array.from(code.view()), operands: [...operands, target] };
  }

  /** Leaves by a tail call. */
  returnCall(fn: FunctionRef, ...operands: Value[]): void {
    for (const operand of operands) this.emit(operand);
    this.code.u8(0x12);
    this.code.unsigned(fn.index);
  }

  /** Leaves by a tail call through table 0. */
  returnCallIndirect(signature: number, target: Value, ...operands: Value[]): void {
    for (const operand of [...operands, target]) this.emit(operand);
    this.code.u8(0x13);
    this.code.unsigned(signature);
    this.code.u8(0);
  }

  // Locals

  /** A new variable. One with a name is never reused, and stands under it in the name section. */
  local(type: ValueType, name?: string): Local {
    if (name !== undefined) return this.namedLocal(type, name);
    const index = this.free[type].pop() ?? this.params.length + this.localTypes.push(type) - 1;
    this.scopeLocals.push(index);
    return { type, index, get: localGet(type, index) };
  }

  /** Names of the parameters, for the name section. */
  nameParameters(...names: readonly string[]): void {
    names.forEach((name, index) => {
      this.localNames.set(index, name);
    });
  }

  private namedLocal(type: ValueType, name: string): Local {
    const index = this.params.length + this.localTypes.push(type) - 1;
    this.localNames.set(index, name);
    return { type, index, get: localGet(type, index) };
  }

  /** Evaluates `value` now, once. Constants and locals that are never set again may be passed through `const`. */
  let(value: Value): Value {
    if (value.kind === 'const') return value;
    const local = this.local(value.type);
    this.set(local, value);
    return local.get;
  }

  /** A new variable with an initial value. */
  variable(value: Value): Local {
    const local = this.local(value.type);
    this.set(local, value);
    return local;
  }

  /** Locals made inside are free for reuse afterwards. */
  scope(body: () => void): void {
    const outer = this.scopeLocals;
    this.scopeLocals = [];
    body();
    for (const index of this.scopeLocals) this.free[this.typeOf(index)].push(index);
    this.scopeLocals = outer;
  }

  private typeOf(index: number): ValueType {
    return this.localTypes[index - this.params.length]!;
  }

  // Statements

  set(local: Local, value: Value): void {
    this.emit(value);
    this.code.u8(0x21);
    this.code.unsigned(local.index);
  }

  setGlobal(index: number, value: Value): void {
    this.emit(value);
    this.code.u8(0x24);
    this.code.unsigned(index);
  }

  store(kind: Store, address: Value, offset: number, value: Value): void {
    this.emit(address);
    this.emit(value);
    for (const byte of stores[kind]) this.code.u8(byte);
    this.code.unsigned(offset);
  }

  /** A call for its effect: a result, if any, is dropped. */
  do(value: Value): void {
    this.emit(value);
    this.code.u8(0x1a);
  }

  /** A call of a function without results. */
  run(fn: FunctionRef, ...operands: Value[]): void {
    for (const operand of operands) this.emit(operand);
    this.code.u8(0x10);
    this.code.unsigned(fn.index);
  }

  if(condition: Value, then: () => void, otherwise?: () => void, hint?: Hint): void {
    this.emit(condition);
    this.hint(hint);
    this.open(0x04);
    then();
    if (otherwise) {
      this.code.u8(0x05);
      otherwise();
    }
    this.close();
  }

  block(body: (end: Label) => void): void {
    this.open(0x02);
    body({ depth: this.depth });
    this.close();
  }

  loop(body: (again: Label) => void): void {
    this.open(0x03);
    body({ depth: this.depth });
    this.close();
  }

  branch(label: Label): void {
    this.code.u8(0x0c);
    this.code.unsigned(this.depth - label.depth);
  }

  branchIf(label: Label, condition: Value, hint?: Hint): void {
    this.emit(condition);
    this.hint(hint);
    this.code.u8(0x0d);
    this.code.unsigned(this.depth - label.depth);
  }

  /** Jumps to `cases[index]`'s code, or to `otherwise`; a case that does not branch away runs on behind the switch. */
  switch(index: Value, cases: readonly (() => void)[], otherwise: () => void): void {
    this.block((end) => {
      const count = cases.length;
      const first = this.depth;
      for (let k = 0; k <= count; k++) this.open(0x02);
      this.emit(index);
      this.code.u8(0x0e);
      this.code.unsigned(count);
      for (let k = 0; k <= count; k++) this.code.unsigned(k);
      for (const body of [...cases, otherwise]) {
        this.close();
        body();
        if (this.depth > first) this.branch(end);
      }
    });
  }

  return(value?: Value): void {
    if (value) this.emit(value);
    this.code.u8(0x0f);
  }

  unreachable(): void {
    this.code.u8(0x00);
  }

  /** No access moves across it. */
  fence(): void {
    this.code.bytes([0xfe, 0x03, 0x00]);
  }

  memoryCopy(destination: Value, source: Value, count: Value): void {
    for (const value of [destination, source, count]) this.emit(value);
    this.code.bytes([0xfc, 0x0a, 0, 0]);
  }

  memoryFill(destination: Value, byte: Value, count: Value): void {
    for (const value of [destination, byte, count]) this.emit(value);
    this.code.bytes([0xfc, 0x0b, 0]);
  }

  private open(opcode: number): void {
    this.code.u8(opcode);
    this.code.u8(0x40);
    this.depth++;
  }

  private close(): void {
    this.code.u8(0x0b);
    this.depth--;
  }

  private hint(hint: Hint | undefined): void {
    if (hint) this.hints.push({ offset: this.code.length, taken: hint === 'likely' });
  }

  /** Code that runs first, though it is written last: what to load is known when the rest is there. */
  prologue(body: () => void): void {
    const { code } = this;
    this.code = new ByteWriter();
    body();
    this.opening = this.code;
    this.code = code;
  }

  /** The function's body as it stands in the code section, and where its branch hints are in it. */
  finish(): { body: Uint8Array; hints: { offset: number; taken: boolean }[] } {
    const out = new ByteWriter();
    out.unsigned(this.localTypes.length);
    for (const type of this.localTypes) {
      out.u8(1);
      out.u8(TYPE_CODE[type]);
    }
    if (this.opening) out.bytes(this.opening.view());
    const shift = out.length;
    out.bytes(this.code.view());
    out.u8(0x0b);
    return {
      body: out.view().slice(),
      hints: this.hints.map((h) => ({ offset: h.offset + shift, taken: h.taken })),
    };
  }
}
