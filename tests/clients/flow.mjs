// SPDX-License-Identifier: ISC
// Copyright (c) 2026 The restante authors
// imapflow: list, fetch and hash, flag, move, delete; prints what it saw.
// With a further word it changes nothing.
import { ImapFlow } from 'imapflow';
import { createHash } from 'node:crypto';

const [mode, port, user, pass, look] = process.argv.slice(2);
const client = new ImapFlow({
	host: '127.0.0.1', port: Number(port), secure: mode === 'tls', doSTARTTLS: mode === 'starttls',
	auth: { user, pass }, tls: { rejectUnauthorized: false }, logger: false,
});
await client.connect();
const boxes = await client.list();
if (!boxes.some(b => b.specialUse === '\\Sent')) throw new Error('no \\Sent');
const lock = await client.getMailboxLock('INBOX');
const hashes = [];
for await (const m of client.fetch('1:*', { source: true, envelope: true, bodyStructure: true, flags: true })) {
	hashes.push(createHash('sha256').update(m.source).digest('hex'));
	if (!m.envelope.subject.startsWith('a test')) throw new Error('subject');
}
if (!look)
	await client.messageFlagsAdd('1:5', ['\\Seen']);
const seen = (await client.search({ seen: true })).length;
if (!look) {
	await client.messageMove('20', 'Archive');
	await client.messageDelete('19');
}
const left = client.mailbox.exists;
lock.release();
const archive = await client.status('Archive', { messages: true });
await client.logout();
console.log(JSON.stringify({ hashes, seen, left, moved: archive.messages }));
