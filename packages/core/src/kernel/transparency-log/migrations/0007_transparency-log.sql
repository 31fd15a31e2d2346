-- The transparency log (RFC 9162): hashes over each tenant's order, and what was signed about them. Nothing in it ever changes.

-- Complete subtrees only: 2^level events from position number * 2^level + 1 on. Level 0 is an event's own hash. An incomplete right
-- edge is folded from these when it is asked for.
create table mahalla.log_node (
  tenant_id uuid not null,
  level smallint not null check (level between 0 and 62),
  number bigint not null check (number >= 0),
  hash bytea not null check (octet_length(hash) = 32),
  primary key (tenant_id, level, number)
);
select mahalla.protect('mahalla.log_node', 'select');

create table mahalla.log_checkpoint (
  tenant_id uuid not null,
  -- Events that it covers: positions 1 to size.
  size bigint not null check (size > 0),
  root bytea not null check (octet_length(root) = 32),
  -- The signed text (JWS), as it went outside.
  signed text not null,
  made_at timestamptz not null,
  primary key (tenant_id, size)
);
select mahalla.protect('mahalla.log_checkpoint', 'select');

-- Insert-only twice: the roles that serve have no right to change, and the table refuses its owner too.
revoke update, delete on mahalla.log_node, mahalla.log_checkpoint from mahalla_platform;
create function mahalla.refuse_log_change() returns trigger
  language plpgsql
  as $$
begin
  raise exception 'the table %.% is insert-only', tg_table_schema, tg_table_name using errcode = 'insufficient_privilege';
end
$$;
create trigger insert_only before update or delete or truncate on mahalla.log_node
  for each statement execute function mahalla.refuse_log_change();
create trigger insert_only before update or delete or truncate on mahalla.log_checkpoint
  for each statement execute function mahalla.refuse_log_change();
