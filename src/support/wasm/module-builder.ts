/** Builds a WebAssembly module: imports first, then functions that are declared, defined and exported. */
import { ByteWriter } from './byte-writer.ts';
import { FunctionBuilder, type FunctionRef, type FunctionType } from './function-builder.ts';
import { TYPE_CODE } from './values.ts';

interface Definition {
  ref: FunctionRef;
  builder: FunctionBuilder;
}

export class ModuleBuilder {
  private readonly types: FunctionType[] = [];
  private readonly typeIndex = new Map<string, number>();
  private readonly imports: { module: string; name: string; type: number }[] = [];
  private readonly declared: (Definition | undefined)[] = [];
  private readonly refs: FunctionRef[] = [];
  private readonly exports: { name: string; index: number }[] = [];
  private memory: { module: string; name: string; minimum: number; maximum: number } | undefined;
  private table: FunctionRef[] = [];
  private tableSlots = 0;
  private tableExport: string | undefined;

  /** The index of a function type, made if it is new. */
  signature(type: FunctionType): number {
    const key = `${type.params.join()}>${type.results.join()}`;
    let index = this.typeIndex.get(key);
    if (index === undefined) {
      index = this.types.push(type) - 1;
      this.typeIndex.set(key, index);
    }
    return index;
  }

  /** Imports the shared memory; sizes in 64 KiB pages. */
  importMemory(module: string, name: string, minimum: number, maximum: number): void {
    this.memory = { module, name, minimum, maximum };
  }

  importFunction(module: string, name: string, type: FunctionType): FunctionRef {
    if (this.refs.length > 0) throw new Error('imports come before functions');
    const index = this.imports.push({ module, name, type: this.signature(type) }) - 1;
    return { index, name, type };
  }

  declare(name: string, type: FunctionType): FunctionRef {
    this.signature(type);
    const ref = { index: this.imports.length + this.refs.length, name, type };
    this.refs.push(ref);
    this.declared.push(undefined);
    return ref;
  }

  define(ref: FunctionRef, body: (f: FunctionBuilder) => void): void {
    const builder = new FunctionBuilder(ref.type);
    body(builder);
    this.declared[ref.index - this.imports.length] = { ref, builder };
  }

  /** Declares and defines in one step. */
  function(name: string, type: FunctionType, body: (f: FunctionBuilder) => void): FunctionRef {
    const ref = this.declare(name, type);
    this.define(ref, body);
    return ref;
  }

  /** Bytes of a defined function's body, its locals included. */
  bodySize(ref: FunctionRef): number {
    return this.declared[ref.index - this.imports.length]?.builder.finish().body.length ?? 0;
  }

  export(ref: FunctionRef, name = ref.name): void {
    this.exports.push({ name, index: ref.index });
  }

  /** Table 0, with these functions from slot 0 on and `spare` empty slots behind them, exported under a name. */
  setTable(functions: readonly FunctionRef[], spare = 0, exportName?: string): void {
    this.table = [...functions];
    this.tableSlots = functions.length + spare;
    this.tableExport = exportName;
  }

  /** The module's bytes; `names` adds the name section, for profiles and traps. */
  finish(names = true): Uint8Array {
    const out = new ByteWriter();
    out.bytes([0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    const finished = this.declared.map((definition, k) => {
      if (!definition) throw new Error(`function ${this.refs[k]!.name} is declared but not defined`);
      return definition.builder.finish();
    });
    this.section(out, 1, (s) => this.writeTypes(s));
    this.section(out, 2, (s) => this.writeImports(s));
    this.section(out, 3, (s) => {
      s.unsigned(this.refs.length);
      for (const ref of this.refs) s.unsigned(this.signature(ref.type));
    });
    if (this.table.length > 0) {
      this.section(out, 4, (s) => {
        s.bytes([1, 0x70, 0]);
        s.unsigned(this.tableSlots);
      });
    }
    this.section(out, 7, (s) => {
      s.unsigned(this.exports.length + (this.tableExport === undefined ? 0 : 1));
      if (this.tableExport !== undefined) {
        s.text(this.tableExport);
        s.bytes([1, 0]);
      }
      for (const { name, index } of this.exports) {
        s.text(name);
        s.u8(0);
        s.unsigned(index);
      }
    });
    if (this.table.length > 0) {
      this.section(out, 9, (s) => {
        s.bytes([1, 0, 0x41, 0, 0x0b]);
        s.unsigned(this.table.length);
        for (const ref of this.table) s.unsigned(ref.index);
      });
    }
    this.writeHints(out, finished);
    this.section(out, 10, (s) => {
      s.unsigned(finished.length);
      for (const { body } of finished) {
        s.unsigned(body.length);
        s.bytes(body);
      }
    });
    if (names) this.writeNames(out);
    return out.view().slice();
  }

  private writeTypes(s: ByteWriter): void {
    s.unsigned(this.types.length);
    for (const { params, results } of this.types) {
      s.u8(0x60);
      s.unsigned(params.length);
      for (const type of params) s.u8(TYPE_CODE[type]);
      s.unsigned(results.length);
      for (const type of results) s.u8(TYPE_CODE[type]);
    }
  }

  private writeImports(s: ByteWriter): void {
    s.unsigned(this.imports.length + (this.memory ? 1 : 0));
    for (const { module, name, type } of this.imports) {
      s.text(module);
      s.text(name);
      s.u8(0);
      s.unsigned(type);
    }
    if (this.memory) {
      s.text(this.memory.module);
      s.text(this.memory.name);
      s.bytes([2, 3]);
      s.unsigned(this.memory.minimum);
      s.unsigned(this.memory.maximum);
    }
  }

  /** Branch hinting proposal: custom section `metadata.code.branch_hint`, before the code section. */
  private writeHints(out: ByteWriter, finished: { hints: { offset: number; taken: boolean }[] }[]): void {
    const hinted = finished
      .map((f, k) => ({ index: this.imports.length + k, hints: f.hints }))
      .filter((f) => f.hints.length > 0);
    if (hinted.length === 0) return;
    this.section(out, 0, (s) => {
      s.text('metadata.code.branch_hint');
      s.unsigned(hinted.length);
      for (const { index, hints } of hinted) {
        s.unsigned(index);
        s.unsigned(hints.length);
        for (const { offset, taken } of hints) {
          s.unsigned(offset);
          s.unsigned(1);
          s.u8(taken ? 1 : 0);
        }
      }
    });
  }

  /** The name section, so that profiles and traps name our functions. */
  private writeNames(out: ByteWriter): void {
    this.section(out, 0, (s) => {
      s.text('name');
      const names = new ByteWriter();
      const all = [...this.imports.map((i) => i.name), ...this.refs.map((r) => r.name)];
      names.unsigned(all.length);
      all.forEach((name, index) => {
        names.unsigned(index);
        names.text(name);
      });
      s.u8(1);
      s.unsigned(names.length);
      s.bytes(names.view());
      this.writeLocalNames(s);
    });
  }

  private writeLocalNames(s: ByteWriter): void {
    const named = this.declared.flatMap((definition) =>
      definition && definition.builder.localNames.size > 0 ? [definition] : [],
    );
    if (named.length === 0) return;
    const names = new ByteWriter();
    names.unsigned(named.length);
    for (const { ref, builder } of named) {
      names.unsigned(ref.index);
      names.unsigned(builder.localNames.size);
      // In the order of their indices: Map keeps the order in which they were made.
      for (const [index, name] of builder.localNames) {
        names.unsigned(index);
        names.text(name);
      }
    }
    s.u8(2);
    s.unsigned(names.length);
    s.bytes(names.view());
  }

  private section(out: ByteWriter, id: number, body: (s: ByteWriter) => void): void {
    const section = new ByteWriter();
    body(section);
    out.u8(id);
    out.unsigned(section.length);
    out.bytes(section.view());
  }
}
