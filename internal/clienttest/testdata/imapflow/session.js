// A session of imapflow, the library under many web mails: it waits in IDLE and
// says on standard output, a JSON line each, what it hears. The test that runs it
// makes the changes and looks at what this leaves behind.
'use strict';

const fs = require('fs');
const { ImapFlow } = require('imapflow');

const [host, port, ca, secret] = process.argv.slice(2);

const say = what => process.stdout.write(JSON.stringify(what) + '\n');

async function main() {
    const client = new ImapFlow({
        host,
        port: Number(port),
        secure: true,
        tls: { ca: fs.readFileSync(ca), servername: 'localhost' },
        auth: { user: 'alice', pass: fs.readFileSync(secret, 'utf8') },
        logger: false
    });
    client.on('exists', e => say({ event: 'exists', count: e.count }));
    client.on('flags', e => say({ event: 'flags', seq: e.seq, flags: [...e.flags].sort() }));
    await client.connect();
    const list = await client.list({ statusQuery: { messages: true } });
    say({ event: 'list', names: list.map(l => `${l.path}:${l.status.messages}`).sort() });

    const lock = await client.getMailboxLock('INBOX');
    try {
        const one = await client.fetchOne('1', { envelope: true, bodyStructure: true, source: true, flags: true });
        say({
            event: 'fetch',
            subject: one.envelope.subject,
            from: one.envelope.from[0].address,
            type: one.bodyStructure.type,
            octets: one.source.length,
            emailId: Boolean(one.emailId)
        });
        await client.messageFlagsAdd({ uid: '1' }, ['\\Seen', '$Done'], { uid: true });
        const added = await client.append('Work', 'Subject: appended\r\n\r\nby imapflow\r\n', ['\\Flagged']);
        say({ event: 'append', uid: added.uid });
        const found = await client.search({ subject: 'two' }, { uid: true });
        say({ event: 'search', found });
        const moved = await client.messageMove(String(found[0]), 'Work', { uid: true });
        say({ event: 'move', to: [...moved.uidMap.values()] });
        const finished = new Promise(resolve => {
            client.on('expunge', e => {
                say({ event: 'expunge', seq: e.seq || 0, uid: e.uid || 0 });
                resolve();
            });
        });
        client.idle().catch(err => say({ event: 'error', text: String(err) }));
        say({ event: 'idle' });
        await finished;
    } finally {
        lock.release();
    }
    await client.logout();
    say({ event: 'done' });
}

main().catch(err => {
    say({ event: 'error', text: String((err && err.stack) || err) });
    process.exitCode = 1;
});
