/** One line of bench/history.jsonl. */
export interface HistoryLine {
  /** Short hash, with `+` where the tree had changes that are not in it. */
  commit: string;
  /** The commit's day, ISO 8601. */
  date: string;
  /** Its first line. */
  subject: string;
  /** Runs that the medians are of, where that is known. */
  runs?: number;
  /** `boot` and programs. */
  ratios: Record<string, number>;
}
