#!/usr/bin/env node
/**
 * Makes a list of members from a table, where the table is: only the list, which holds keyed hashes, is brought to the city.
 *
 *     MAHALLA_MEMBER_LIST_KEY=… mahalla-member-list members.csv members.list
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs"
import { importCsv } from "./importCsv.ts"
import { writeList } from "./listFile.ts"

const stop = (code: number, message: string): never => {
  process.stderr.write(`${message}\n`)
  process.exit(code)
}

const [table, list] = process.argv.slice(2)
const key = process.env["MAHALLA_MEMBER_LIST_KEY"] ?? ""
if (table === undefined || list === undefined) stop(64, "Give two files: mahalla-member-list members.csv members.list")
else if (key.length < 32)
  stop(64, "Give a key of at least 32 characters in MAHALLA_MEMBER_LIST_KEY: openssl rand -base64 32")
else
  try {
    const made = importCsv(key, readFileSync(table, "utf8"))
    // A city that reads at this moment finds the old one or the new one.
    writeFileSync(`${list}.${process.pid}`, writeList(key, made), { mode: 0o600 })
    renameSync(`${list}.${process.pid}`, list)
    process.stdout.write(`${made.members.size} members\n`)
  } catch (error) {
    stop(65, error instanceof Error ? error.message : String(error))
  }
