// A cursor runs over a track's pictures while it plays; a click on its spectrogram goes there.
document.addEventListener('timeupdate', event => {
  const track = event.target.closest && event.target.closest('.track');
  if (!track || !event.target.duration) return;
  const share = event.target.currentTime / event.target.duration;
  track.querySelectorAll('.cursor').forEach(cursor => { cursor.style.left = (100 * share) + '%'; });
}, true);
document.addEventListener('click', event => {
  if (!event.target.classList || !event.target.classList.contains('picture')) return;
  const player = event.target.closest('.track').querySelector('audio');
  const box = event.target.getBoundingClientRect();
  if (player && player.duration) player.currentTime = player.duration * (event.clientX - box.left) / box.width;
});
document.addEventListener('play', event => {
  document.querySelectorAll('audio').forEach(other => { if (other !== event.target) other.pause(); });
}, true);
