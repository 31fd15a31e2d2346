-- Where a payout goes is sealed with the tenant's key. What stands in clear is sealed row by row while the server runs, and `payee` is
-- empty then. An older server would pay to nobody: breaking.
alter table mahalla.payout add column payee_sealed text;
insert into mahalla.reseal (tenant_id, part) select tenant_id, 'payouts.payout' from mahalla.tenant;
