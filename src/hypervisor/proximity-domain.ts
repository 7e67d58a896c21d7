/**
 * NUMA proximity domains: the SPA space divided into runs of pages, each with the ACPI ID of its node, and what
 * an HV_PROXIMITY_DOMAIN_INFO asks for. TLFS 2.0a §7.1.2, §7.2.1.
 *
 * Chosen where the text is open:
 * - Without ProximityInfoValid the other flag and the ID mean nothing; a reserved flag bit is refused always.
 * - A required domain that doesn't exist is refused; a preferred one that doesn't exist means any.
 * - HvGetMemoryBalance counts the named domain alone, also where it is merely preferred.
 */
/** One node's part of system physical memory. */
export interface ProximityDomain {
  /** ACPI proximity domain ID, any 32-bit value. */
  readonly id: number;
  readonly firstPage: number;
  readonly pages: number;
}

/** Where pages are to come from: a domain by its index, or -1: any. */
export interface Placement {
  readonly domain: number;
  /** No other domain will do. */
  readonly required: boolean;
}

export const ANYWHERE: Placement = { domain: -1, required: false };

export class ProximityDomains {
  readonly list: readonly ProximityDomain[];

  /** `domains` cover the pages from 0 to `pageCount` without a gap, in ascending order, with IDs of their own. */
  constructor(domains: readonly ProximityDomain[], pageCount: number) {
    let next = 0;
    for (const { firstPage, pages } of domains) {
      if (firstPage !== next || pages <= 0) throw new RangeError('proximity domains must follow one another');
      next += pages;
    }
    if (next !== pageCount)
      throw new RangeError(`proximity domains end at page ${next}, memory at ${pageCount}`);
    if (new Set(domains.map(({ id }) => id)).size !== domains.length) {
      throw new RangeError('two proximity domains have one ID');
    }
    this.list = domains;
  }

  /** A machine with one node. */
  static single(pageCount: number): ProximityDomains {
    return new ProximityDomains([{ id: 0, firstPage: 0, pages: pageCount }], pageCount);
  }

  /** Index of the domain with this ID, or -1. */
  indexOfId(id: number): number {
    return this.list.findIndex((domain) => domain.id === id);
  }

  /** The page behind the last one of a domain. */
  endOf(index: number): number {
    const { firstPage, pages } = this.list[index];
    return firstPage + pages;
  }

  /** Index of the domain that page `spn` lies in. */
  indexOfPage(spn: number): number {
    let index = this.list.length - 1;
    while (index > 0 && spn < this.list[index].firstPage) index--;
    return index;
  }
}
