/**
 * The machine that claims are tried on: the root, which only sets things up, and fed guests. Scenes are made per
 * section; what a claim changes it changes on partitions of its own.
 *
 *   root ─┬─ parent: every privilege that a child can have; most claims are about its calls
 *         ├─ powerless: no privilege at all
 *         └─ stranger: a sibling of `parent`, not its child
 *   and on request, code of the root partition itself, for the calls that are reserved to it.
 */
import { HypercallCode } from '../../../src/hvdef/hypercalls.ts';
import { ALL_PRIVILEGES, ROOT_ONLY_PRIVILEGES } from '../../../src/hvdef/privileges.ts';
import { RegisterName } from '../../../src/hvdef/registers.ts';
import { HvStatus } from '../../../src/hvdef/status.ts';
import { DebugTransport } from '../../../src/hypervisor/debug-session.ts';
import { SPN_MASK } from '../../../src/hypervisor/gpa-map.ts';
import { writeRegister } from '../../../src/hypervisor/register-access.ts';
import { VirtualProcessor } from '../../../src/hypervisor/virtual-processor.ts';
import { bootRegisters } from '../../guests/guest-image.ts';
import { TestMachine } from '../../guests/test-machine.ts';
import {
  createPartition,
  FedGuest,
  type FedGuestOptions,
  type FeedHost,
  PAGE,
  type Parent,
} from './fed-guest.ts';
import { feederImage } from './feeder.ts';

export const CHILD_PRIVILEGES = ALL_PRIVILEGES & ~ROOT_ONLY_PRIVILEGES;
/** A partition ID that nobody has. */
export const NOBODY = 0xbad_0bad;

export interface SceneOptions {
  staticBlockLength?: number;
  /** No connection to a debugger. */
  withoutDebugger?: boolean;
}

export class Scene implements FeedHost {
  readonly machine: TestMachine;
  readonly memory;
  /** `code:status` of everything that guest code was answered. */
  readonly observed = new Set<string>();
  /** Calls that guest code found to exist. */
  readonly reached = new Set<number>();
  readonly root: Parent;
  readonly #options: SceneOptions;
  readonly #guests = new Map<string, FedGuest>();
  #rootGuest: FedGuest | undefined;

  constructor(options: SceneOptions = {}) {
    const { staticBlockLength, withoutDebugger } = options;
    this.#options = options;
    this.machine = new TestMachine({
      megabytes: 64,
      processors: 24,
      ...(staticBlockLength === undefined ? {} : { staticBlockLength }),
      ...(withoutDebugger === true ? {} : { debugTransport: new DebugTransport() }),
    });
    this.memory = this.machine.booted.surface.memory;
    this.root = rootParent(this.machine);
  }

  /** Another machine, without a connection to a debugger, whose answers count here. */
  withoutDebugger(): Scene {
    const other = new Scene({ ...this.#options, withoutDebugger: true });
    other.observe = (code, status) => this.observe(code, status);
    return other;
  }

  get hypervisor() {
    return this.machine.booted.hypervisor;
  }

  observe(code: number, status: number): void {
    this.observed.add(`${code}:${status}`);
    if (status !== HvStatus.INVALID_HYPERCALL_CODE) this.reached.add(code);
  }
  processorOf(partition: bigint, index: number): VirtualProcessor {
    const vp = this.hypervisor.partitions.get(Number(partition))?.virtualProcessors.get(index);
    if (!(vp instanceof VirtualProcessor)) throw new Error(`partition ${partition} has no VP ${index}`);
    return vp;
  }

  get parent(): FedGuest {
    return this.guest('parent', this.root, {
      privileges: CHILD_PRIVILEGES,
      openPages: 1024,
      privatePages: 2048,
      latentPages: 2048,
      depositPages: 160,
    });
  }
  get powerless(): FedGuest {
    return this.guest('powerless', this.root, { privileges: 0x20n | 4n });
  }
  get stranger(): FedGuest {
    return this.guest('stranger', this.root, {
      privileges: CHILD_PRIVILEGES,
      privatePages: 64,
      depositPages: 64,
    });
  }

  /** The fed guest of that name, made by the first who asks. */
  guest(name: string, parent: Parent, options: FedGuestOptions): FedGuest {
    const known = this.#guests.get(name);
    if (known !== undefined) return known;
    const guest = FedGuest.create(this, parent, options);
    this.#guests.set(name, guest);
    return guest;
  }

  /** A fresh child of `parent`, initialized, with so many pages in its pool (0: not even initialized). */
  child(pages = 24, parent: Parent = this.parent): bigint {
    return createPartition(parent, pages);
  }
  /** A fresh child with VP 0, suspended. */
  childWithVp(parent: Parent = this.parent): bigint {
    const id = this.child(24, parent);
    const { status } = parent.call(HypercallCode.CreateVp, [id, 0, 0, 0]);
    if (status !== 0) throw new Error(`HvCreateVp: ${status}`);
    return id;
  }

  /** Guest code in the root partition: a VP beside the virtualization stack's, on pages of the root's own. */
  get rootGuest(): FedGuest {
    if (this.#rootGuest !== undefined) return this.#rootGuest;
    const { hypervisor } = this;
    const open = 128;
    const spare = 256;
    const first = this.machine.takePages(open + 2 * spare);
    const image = feederImage(first * PAGE);
    this.memory.bytes.set(image.bytes, first * PAGE);
    const vp = VirtualProcessor.create(hypervisor.root, 1, this.machine.booted.dispatcher);
    if (!(vp instanceof VirtualProcessor)) throw new Error(`no processor for the root: ${vp}`);
    for (const { name, low, high } of bootRegisters(image)) {
      if (!writeRegister(vp, name, low, high)) throw new Error(`register 0x${name.toString(16)} was refused`);
    }
    vp.start();
    writeRegister(vp, RegisterName.ExplicitSuspend, 0n, 0n);
    this.#rootGuest = new FedGuest(this, 1n, vp, (gpn) => gpn * PAGE, image.labels, {
      open: first + image.bytes.length / PAGE,
      private: first + open,
      latent: first + open + spare,
    });
    return this.#rootGuest;
  }
}

function rootParent(machine: TestMachine): Parent {
  const { surface, hypervisor } = machine.booted;
  return {
    id: 1n,
    call: (code, words, options = {}) => machine.call(code, words, options),
    takeOpen: (pages) => machine.takePages(pages),
    takePrivate: (pages) => machine.takePages(pages),
    takeLatent: (pages) => {
      const first = machine.takePages(pages);
      if (pages > 0) machine.map(1n, first, first, pages, 0);
      return first;
    },
    addressOf: (gpn) => {
      const mapping = hypervisor.root.gpaMap.lookup(gpn);
      return mapping < 0 ? surface.pageAddress(gpn) : (mapping & SPN_MASK) * PAGE;
    },
  };
}
