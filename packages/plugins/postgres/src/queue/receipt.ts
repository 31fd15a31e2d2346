/** A receipt names one try: tenant, job and the number of the lease, which never repeats. */
export interface Receipt {
  readonly tenantId: string
  readonly id: string
  readonly leaseNumber: number
}

const uuid = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
const pattern = new RegExp(`^(${uuid})/(${uuid})/(\\d{1,9})$`)

export const isUuid = (text: string): boolean => new RegExp(`^${uuid}$`).test(text)

export const writeReceipt = ({ id, leaseNumber, tenantId }: Receipt): string => `${tenantId}/${id}/${leaseNumber}`

/** `undefined` for what was never a receipt of ours. */
export const readReceipt = (text: string): Receipt | undefined => {
  const [, tenantId, id, leaseNumber] = pattern.exec(text) ?? []
  return tenantId === undefined || id === undefined ? undefined : { tenantId, id, leaseNumber: Number(leaseNumber) }
}

/** As three columns for a statement. */
export const columns = (
  texts: ReadonlyArray<string>
): readonly [ReadonlyArray<string>, ReadonlyArray<string>, ReadonlyArray<number>] => {
  const tenants: Array<string> = []
  const ids: Array<string> = []
  const numbers: Array<number> = []
  for (const text of texts) {
    const receipt = readReceipt(text)
    if (receipt === undefined) continue
    tenants.push(receipt.tenantId)
    ids.push(receipt.id)
    numbers.push(receipt.leaseNumber)
  }
  return [tenants, ids, numbers]
}
