/**
 * A city whose rows can be put back between two requests, so that what can be done once (a decision, a sign-out, an erasure) can be attacked a
 * thousand times. Rows are compared and copied whole, as the superuser and without triggers.
 */
import type { CityKit } from "../cityKit.ts"

/** The log, the queue and what only grows stay as they are: the engine works on them all the time. */
const setUp = `
create schema if not exists rewind;

create table if not exists rewind.watched as
  select c.oid, c.relname::text as name,
    (select string_agg(format('%I', a.attname), ', ' order by a.attnum) from pg_attribute a
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns,
    (select string_agg(format('kept.%1$I = now.%1$I', a.attname), ' and ') from pg_index i
      join pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.indkey) where i.indrelid = c.oid and i.indisprimary) as same
  from pg_class c
  where c.relnamespace = 'mahalla'::regnamespace and c.relkind = 'r' and not c.relispartition
    and c.relname !~ '^(event|log_|job|lease|rate_limit|idempotency_key|message|checkpoint_delivery|case_type|schedule|master_key|tenant_key|reseal|ledger_transfer|platform_log|migration)'
    and exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary);

create or replace function rewind.keep() returns void language plpgsql as $$
declare one rewind.watched;
begin
  for one in table rewind.watched loop
    execute format('drop table if exists rewind.%I', 'kept_' || one.name);
    execute format('create table rewind.%I as table mahalla.%I', 'kept_' || one.name, one.name);
  end loop;
end $$;

create or replace function rewind.changed() returns table (name text, added boolean, lost boolean) language plpgsql as $$
declare one rewind.watched;
begin
  for one in table rewind.watched loop
    execute format('select exists (select from mahalla.%1$I now where not exists (select from rewind.%2$I kept where %3$s)),
        exists (select from rewind.%2$I kept where not exists (select from mahalla.%1$I now where %3$s and now::text = kept::text))',
      one.name, 'kept_' || one.name, one.same) into added, lost;
    name := one.name;
    if added or lost then return next; end if;
  end loop;
end $$;

create or replace function rewind.restore(changed text[], added text[]) returns void language plpgsql as $$
declare one rewind.watched;
begin
  set local session_replication_role = replica;
  for one in select * from rewind.watched w where w.name = any (changed || added) loop
    if one.name = any (added) then
      execute format('delete from mahalla.%1$I now where not exists (select from rewind.%2$I kept where %3$s)',
        one.name, 'kept_' || one.name, one.same);
    end if;
    execute format('delete from mahalla.%1$I now using rewind.%2$I kept where %3$s and now::text <> kept::text',
      one.name, 'kept_' || one.name, one.same);
    execute format('insert into mahalla.%1$I (%4$s) overriding system value select %4$s from rewind.%2$I kept
        where not exists (select from mahalla.%1$I now where %3$s)', one.name, 'kept_' || one.name, one.same, one.columns);
  end loop;
end $$;`

export interface Rewind {
  /** Remembers everything as it is. */
  readonly keep: () => Promise<void>
  /** Tables that are not as they were, those that only got more rows apart. */
  readonly changed: () => Promise<{ readonly changed: ReadonlyArray<string>; readonly added: ReadonlyArray<string> }>
  /** Puts rows back that changed or went; in the tables of `added`, rows that came go too. */
  readonly restore: (changed: ReadonlyArray<string>, added: ReadonlyArray<string>) => Promise<void>
}

export const openRewind = async ({ sql }: CityKit): Promise<Rewind> => {
  await sql(setUp)
  return {
    keep: async () => {
      await sql("select rewind.keep()")
    },
    changed: async () => {
      const rows = await sql<{ name: string; added: boolean; lost: boolean }>("select * from rewind.changed()")
      return {
        changed: rows.filter(({ lost }) => lost).map(({ name }) => name),
        added: rows.filter(({ added }) => added).map(({ name }) => name)
      }
    },
    restore: async (changed, added) => {
      for (let left = 5; ; left--) {
        try {
          await sql("select rewind.restore($1, $2)", [changed, added])
          return
        } catch (cause) {
          // The engine's own work may want the same rows in another order.
          if (left === 0 || (cause as { code?: string }).code !== "40P01") throw cause
        }
      }
    }
  }
}
