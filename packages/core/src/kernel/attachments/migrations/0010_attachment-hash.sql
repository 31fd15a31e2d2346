-- Who else has sent the same file.
create index attachment_of_hash on mahalla.attachment (tenant_id, sha256) where role = 'original' and sha256 is not null;
