// The same order twice is one charge. The store is this process's memory.
import {
  IdempotencyConfig,
  IdempotencyItemAlreadyExistsError,
  IdempotencyItemNotFoundError,
  makeIdempotent,
} from "@aws-lambda-powertools/idempotency";
import { BasePersistenceLayer, IdempotencyRecord } from "@aws-lambda-powertools/idempotency/persistence";

class Memory extends BasePersistenceLayer {
  readonly #records = new Map<string, IdempotencyRecord>();

  protected async _getRecord(key: string): Promise<IdempotencyRecord> {
    const record = this.#records.get(key);
    if (record === undefined) throw new IdempotencyItemNotFoundError();
    return record;
  }

  protected async _putRecord(record: IdempotencyRecord): Promise<void> {
    const known = this.#records.get(record.idempotencyKey);
    if (known !== undefined) throw new IdempotencyItemAlreadyExistsError("known", known);
    this.#records.set(record.idempotencyKey, record);
  }

  protected async _updateRecord(record: IdempotencyRecord): Promise<void> {
    this.#records.set(record.idempotencyKey, record);
  }

  protected async _deleteRecord(record: IdempotencyRecord): Promise<void> {
    this.#records.delete(record.idempotencyKey);
  }
}

let charges = 0;

export const handler = makeIdempotent(
  async (event: { order: string; refuse?: boolean }, _context: unknown) => {
    charges += 1;
    if (event.refuse) throw new Error(`refused, charge ${charges}`);
    return { order: event.order, charges };
  },
  { persistenceStore: new Memory(), config: new IdempotencyConfig({ eventKeyJmesPath: "order" }) },
);
